// Arguments that JavaScript hands over, read and checked; errors the other way.
#pragma once

#include <napi.h>

#include <cstdint>
#include <string>

#include "../engine/status.h"

namespace mlc {

// An Error with a `code`.
Napi::Error make_error(Napi::Env env, const Status& status);

// Throws it; for `return fail(...)`.
Napi::Value fail(Napi::Env env, const Status& status);

Status argument_error(const std::string& what);

// The property `key` of `object`: a whole number from 0 to 2^53 - 1, a text, a boolean.
Status read_integer(const Napi::Object& object, const char* key, uint64_t* value);
Status read_text(const Napi::Object& object, const char* key, std::string* text);
Status read_flag(const Napi::Object& object, const char* key, bool* flag);

// Runs the steps until one fails.
template <typename Step, typename... Steps>
Status in_turn(Step step, Steps... steps) {
  const Status status = step();
  if constexpr (sizeof...(steps) == 0) {
    return status;
  } else {
    return status.is_ok() ? in_turn(steps...) : status;
  }
}

}  // namespace mlc
