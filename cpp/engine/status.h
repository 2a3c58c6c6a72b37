// How the engine reports failure: a stable code and one sentence, never an exception.
#pragma once

#include <string>
#include <utility>

namespace mlc {

class Status {
 public:
  static Status ok() { return Status(); }
  static Status error(const char* code, std::string message) {
    Status status;
    status.code_ = code;
    status.message_ = std::move(message);
    return status;
  }

  bool is_ok() const { return code_ == nullptr; }
  // One of docs/errors.md's codes; null when ok. Static storage.
  const char* code() const { return code_; }
  const std::string& message() const { return message_; }

 private:
  const char* code_ = nullptr;
  std::string message_;
};

}  // namespace mlc
