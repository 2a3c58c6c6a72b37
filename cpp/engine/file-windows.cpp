#if defined(_WIN32)

#define WIN32_LEAN_AND_MEAN
#define NOMINMAX
#include <windows.h>

#include "file.h"

namespace mlc {

struct GuardedRange {};
PageGuard::~PageGuard() = default;
void PageGuard::begin(const void*, size_t) {}
void PageGuard::end() {}
bool PageGuard::has_lost_pages() const { return false; }

namespace {

// Paths over 260 characters need the extended form; Node hands out absolute UTF-8 paths.
std::wstring wide_path(const std::string& path) {
  const int length =
      MultiByteToWideChar(CP_UTF8, 0, path.data(), static_cast<int>(path.size()), nullptr, 0);
  std::wstring wide(static_cast<size_t>(length), L'\0');
  MultiByteToWideChar(CP_UTF8, 0, path.data(), static_cast<int>(path.size()), &wide[0], length);
  for (wchar_t& unit : wide) {
    if (unit == L'/') unit = L'\\';
  }
  const bool extended = wide.compare(0, 4, L"\\\\?\\") == 0;
  const bool drive = wide.size() > 2 && wide[1] == L':';
  if (extended || wide.size() < 240) return wide;
  if (drive) return L"\\\\?\\" + wide;
  if (wide.compare(0, 2, L"\\\\") == 0) return L"\\\\?\\UNC" + wide.substr(1);
  return wide;
}

Status system_error(const char* code, const char* what, const std::string& path) {
  return Status::error(
      code, std::string(what) + " " + path + ": Windows error " + std::to_string(GetLastError()));
}

const char* write_code() {
  const DWORD error = GetLastError();
  return error == ERROR_DISK_FULL || error == ERROR_HANDLE_DISK_FULL ? "E_DISK_FULL"
                                                                     : "E_OUTPUT_WRITE";
}

OVERLAPPED at_offset(uint64_t offset) {
  OVERLAPPED position = {};
  position.Offset = static_cast<DWORD>(offset);
  position.OffsetHigh = static_cast<DWORD>(offset >> 32);
  return position;
}

// The most that one call moves: its length is a DWORD.
constexpr size_t kMaxTransfer = 1u << 30;

HANDLE as_handle(intptr_t value) { return reinterpret_cast<HANDLE>(value); }

}  // namespace

SourceFile::~SourceFile() {
  if (data_ != nullptr) UnmapViewOfFile(data_);
  if (handle_ != -1) CloseHandle(as_handle(handle_));
}

Status SourceFile::open(const std::string& path, uint64_t size, bool map) {
  path_ = path;
  HANDLE file = CreateFileW(wide_path(path).c_str(), GENERIC_READ, FILE_SHARE_READ, nullptr,
                            OPEN_EXISTING, FILE_ATTRIBUTE_NORMAL, nullptr);
  if (file == INVALID_HANDLE_VALUE) return system_error("E_SOURCE_READ", "cannot open", path);
  handle_ = reinterpret_cast<intptr_t>(file);
  size_ = size;
  Facts facts;
  Status status = inspect(&facts);
  if (status.is_ok()) status = check_size(facts.size);
  if (!status.is_ok()) return status;
  if (!map || size == 0) return Status::ok();
  HANDLE mapping = CreateFileMappingW(file, nullptr, PAGE_READONLY, 0, 0, nullptr);
  if (mapping == nullptr) return system_error("E_SOURCE_READ", "cannot map", path);
  data_ = static_cast<const uint8_t*>(MapViewOfFile(mapping, FILE_MAP_READ, 0, 0, 0));
  CloseHandle(mapping);
  return data_ == nullptr ? system_error("E_SOURCE_READ", "cannot map", path) : Status::ok();
}

Status SourceFile::inspect(Facts* facts) const {
  LARGE_INTEGER found;
  if (!GetFileSizeEx(as_handle(handle_), &found)) {
    return system_error("E_SOURCE_READ", "cannot inspect", path_);
  }
  facts->size = static_cast<uint64_t>(found.QuadPart);
  return Status::ok();
}

const uint8_t* SourceFile::bytes(uint64_t offset, size_t count, uint8_t* scratch) const {
  if (data_ != nullptr) return data_ + offset;
  size_t done = 0;
  while (done < count) {
    OVERLAPPED position = at_offset(offset + done);
    const size_t step = count - done < kMaxTransfer ? count - done : kMaxTransfer;
    DWORD got = 0;
    if (!ReadFile(as_handle(handle_), scratch + done, static_cast<DWORD>(step), &got, &position) ||
        got == 0) {
      return nullptr;
    }
    done += got;
  }
  return scratch;
}

void SourceFile::ask(uint64_t, uint64_t) const {}

void SourceFile::release(uint64_t, uint64_t) const {}

Status OutputFile::open(const std::string& path, bool truncate) {
  path_ = path;
  HANDLE file =
      CreateFileW(wide_path(path).c_str(), GENERIC_WRITE, FILE_SHARE_READ | FILE_SHARE_WRITE,
                  nullptr, truncate ? CREATE_ALWAYS : OPEN_ALWAYS, FILE_ATTRIBUTE_NORMAL, nullptr);
  if (file == INVALID_HANDLE_VALUE) return system_error(write_code(), "cannot create", path);
  handle_ = reinterpret_cast<intptr_t>(file);
  return Status::ok();
}

Status OutputFile::reserve(uint64_t, uint64_t) { return Status::ok(); }

Status OutputFile::write(uint64_t offset, const uint8_t* data, size_t count) {
  while (count > 0) {
    OVERLAPPED position = at_offset(offset);
    const size_t step = count < kMaxTransfer ? count : kMaxTransfer;
    DWORD put = 0;
    if (!WriteFile(as_handle(handle_), data, static_cast<DWORD>(step), &put, &position)) {
      return system_error(write_code(), "cannot write", path_);
    }
    data += put;
    offset += put;
    count -= put;
  }
  return Status::ok();
}

void OutputFile::flush(uint64_t, uint64_t) {}

Status OutputFile::sync() {
  if (FlushFileBuffers(as_handle(handle_))) return Status::ok();
  return system_error(write_code(), "cannot make durable", path_);
}

void OutputFile::close() {
  if (handle_ != -1) CloseHandle(as_handle(handle_));
  handle_ = -1;
}

}  // namespace mlc

#endif
