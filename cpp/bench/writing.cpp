// Ways of writing new shard files, compared:
//   bench-writing FOLDER BYTES THREADS
// writes BYTES into new 32 MiB files of FOLDER in chunks as the engine makes them, with every mode,
// and prints seconds as JSON: until the last byte is handed over, and until it is durable.
#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <thread>
#include <vector>

namespace {

constexpr size_t kChunk = 128 * 1024;
constexpr size_t kFileBytes = 32u << 20;

[[noreturn]] void fail(const char* what) {
  std::perror(what);
  std::exit(1);
}

void put(int fd, const uint8_t* chunk, size_t size) {
  for (size_t at = 0; at < size; at += kChunk) {
    if (pwrite(fd, chunk, kChunk, static_cast<off_t>(at)) != static_cast<ssize_t>(kChunk)) {
      fail("pwrite");
    }
  }
}

void buffered(int fd, const uint8_t* chunk) { put(fd, chunk, kFileBytes); }

void reserve(int fd) {
  if (posix_fallocate(fd, 0, static_cast<off_t>(kFileBytes)) != 0) fail("posix_fallocate");
}

void reserved(int fd, const uint8_t* chunk) {
  reserve(fd);
  put(fd, chunk, kFileBytes);
}

void mapped(int fd, const uint8_t* chunk) {
  if (ftruncate(fd, static_cast<off_t>(kFileBytes)) != 0) fail("ftruncate");
  reserve(fd);
  void* map = mmap(nullptr, kFileBytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  if (map == MAP_FAILED) fail("mmap");
  for (size_t at = 0; at < kFileBytes; at += kChunk) {
    std::memcpy(static_cast<uint8_t*>(map) + at, chunk, kChunk);
  }
  munmap(map, kFileBytes);
}

struct Mode {
  const char* name;
  int flags;
  void (*write)(int fd, const uint8_t* chunk);
};

const Mode kModes[] = {
    {"buffered", 0, buffered},
    {"reserved", 0, reserved},
    {"mapped", 0, mapped},
#ifdef O_DIRECT
    {"direct", O_DIRECT, reserved},
#endif
};

void write_files(const Mode& mode, const std::string& prefix, size_t files, std::vector<int>* fds) {
  void* chunk = nullptr;
  if (posix_memalign(&chunk, 4096, kChunk) != 0) fail("posix_memalign");
  std::memset(chunk, 0x5a, kChunk);
  for (size_t i = 0; i < files; ++i) {
    const std::string path = prefix + std::to_string(i);
    const int fd = open(path.c_str(), O_RDWR | O_CREAT | O_TRUNC | mode.flags, 0666);
    if (fd < 0) fail(path.c_str());
    mode.write(fd, static_cast<const uint8_t*>(chunk));
    fds->push_back(fd);
  }
  std::free(chunk);
}

void measure(const Mode& mode, const std::string& folder, size_t files, size_t threads) {
  std::vector<std::vector<int>> fds(threads);
  std::vector<std::thread> workers;
  const auto start = std::chrono::steady_clock::now();
  const auto seconds = [&] {
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  };
  for (size_t i = 0; i < threads; ++i) {
    const std::string prefix = folder + "/" + mode.name + "-" + std::to_string(i) + "-";
    workers.emplace_back([&, i, prefix] { write_files(mode, prefix, files / threads, &fds[i]); });
  }
  for (std::thread& worker : workers) worker.join();
  const double written = seconds();
  for (const std::vector<int>& one : fds) {
    for (const int fd : one) {
      if (fsync(fd) != 0) fail("fsync");
      close(fd);
    }
  }
  std::printf("\"%s\":{\"written\":%.3f,\"durable\":%.3f}", mode.name, written, seconds());
  for (size_t i = 0; i < threads; ++i) {
    for (size_t file = 0; file < files / threads; ++file) {
      unlink((folder + "/" + mode.name + "-" + std::to_string(i) + "-" + std::to_string(file))
                 .c_str());
    }
  }
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 4) {
    std::fprintf(stderr, "usage: bench-writing FOLDER BYTES THREADS\n");
    return 2;
  }
  const size_t files = static_cast<size_t>(std::strtoull(argv[2], nullptr, 10) / kFileBytes);
  const size_t threads = static_cast<size_t>(std::strtoull(argv[3], nullptr, 10));
  const char* separator = "{";
  for (const Mode& mode : kModes) {
    std::printf("%s", separator);
    separator = ",";
    measure(mode, argv[1], files, threads);
  }
  std::printf("}\n");
  return 0;
}
