#include "arguments.h"

namespace mlc {

namespace {

constexpr double kMaxExact = 9007199254740991.0;  // 2^53 - 1

}  // namespace

Napi::Error make_error(Napi::Env env, const Status& status) {
  Napi::Error error = Napi::Error::New(env, status.message());
  error.Set("code", Napi::String::New(env, status.code()));
  return error;
}

Napi::Value fail(Napi::Env env, const Status& status) {
  make_error(env, status).ThrowAsJavaScriptException();
  return env.Undefined();
}

Status argument_error(const std::string& what) { return Status::error("E_ARGUMENT", what); }

Status read_integer(const Napi::Object& object, const char* key, uint64_t* value) {
  const Napi::Value field = object.Get(key);
  const double number = field.IsNumber() ? field.As<Napi::Number>().DoubleValue() : -1;
  if (!(number >= 0 && number <= kMaxExact) ||
      number != static_cast<double>(static_cast<uint64_t>(number))) {
    return argument_error(std::string(key) + " must be a non-negative integer");
  }
  *value = static_cast<uint64_t>(number);
  return Status::ok();
}

Status read_text(const Napi::Object& object, const char* key, std::string* text) {
  const Napi::Value field = object.Get(key);
  if (!field.IsString()) return argument_error(std::string(key) + " must be a string");
  *text = field.As<Napi::String>().Utf8Value();
  return Status::ok();
}

Status read_flag(const Napi::Object& object, const char* key, bool* flag) {
  const Napi::Value field = object.Get(key);
  if (!field.IsBoolean()) return argument_error(std::string(key) + " must be a boolean");
  *flag = field.As<Napi::Boolean>().Value();
  return Status::ok();
}

}  // namespace mlc
