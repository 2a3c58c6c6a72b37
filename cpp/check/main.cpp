// kernel-check: compares a backend with the reference, bit for bit, and measures it. Needs no Node,
// so it also runs under an emulator, a sanitizer, valgrind, or on a machine that is lent for an
// hour.
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "../cuda/loader.h"
#include "context.h"

namespace {

using mlc::Backend;
using mlc::check::Context;

constexpr const char* kUsage =
    "usage: kernel-check [options]\n"
    "  --list            backends, best first: name, and why one cannot run here\n"
    "  --backend NAME    the one to check (all that run here)\n"
    "  --cuda LIBRARY    and --backend cuda:N: GPU N, through libmlc_convert_cuda\n"
    "  --only NAME       element, group, scales, fp8, ft, md5 or statistics (all)\n"
    "                    of --bench: what kernels' names begin with\n"
    "  --random N        and then N random calls of random shapes\n"
    "  --seed S          for everything random (1)\n"
    "  --exhaustive      instead: every weight of two bytes against every scale it meets\n"
    "  --golden FILE     instead: recorded results ('-': standard input)\n"
    "  --bench           instead: GB/s of source in cache, for each kernel\n"
    "  --seconds S       for each kernel of --bench (0.2)\n"
    "  --json            the measurements as JSON, one object a line\n"
    "exit status: 0 all equal, 1 a difference, 2 wrong usage, 3 the backend cannot run here\n";

struct Options {
  const char* backend = nullptr;
  const char* cuda = nullptr;
  const char* only = nullptr;
  const char* golden = nullptr;
  unsigned long long random = 0;
  unsigned long long seed = 1;
  double seconds = 0.2;
  bool list = false;
  bool exhaustive = false;
  bool bench = false;
  bool json = false;
};

struct Check {
  const char* name;
  void (*run)(Context&);
  void (*random)(Context&);
};

void some_scales(Context& context) { mlc::check::check_scales(context, false); }

constexpr Check kChecks[] = {
    {"element", mlc::check::check_element, mlc::check::random_element},
    {"group", mlc::check::check_group, mlc::check::random_group},
    {"scales", some_scales, nullptr},
    {"fp8", mlc::check::check_fp8, mlc::check::random_fp8},
    {"ft", mlc::check::check_ft, mlc::check::random_ft},
    {"statistics", mlc::check::check_statistics, mlc::check::random_statistics},
    {"md5", mlc::check::check_md5, mlc::check::random_md5},
};

bool parse(int argc, char** argv, Options* out) {
  const auto is = [](const char* arg, const char* name) { return std::strcmp(arg, name) == 0; };
  for (int i = 1; i < argc; ++i) {
    const char* arg = argv[i];
    if (is(arg, "--list")) {
      out->list = true;
    } else if (is(arg, "--exhaustive")) {
      out->exhaustive = true;
    } else if (is(arg, "--bench")) {
      out->bench = true;
    } else if (is(arg, "--json")) {
      out->json = true;
    } else if (i + 1 == argc) {
      return false;
    } else if (is(arg, "--backend")) {
      out->backend = argv[++i];
    } else if (is(arg, "--cuda")) {
      out->cuda = argv[++i];
    } else if (is(arg, "--only")) {
      out->only = argv[++i];
    } else if (is(arg, "--golden")) {
      out->golden = argv[++i];
    } else if (is(arg, "--random")) {
      out->random = std::strtoull(argv[++i], nullptr, 10);
    } else if (is(arg, "--seed")) {
      out->seed = std::strtoull(argv[++i], nullptr, 10);
    } else if (is(arg, "--seconds")) {
      out->seconds = std::strtod(argv[++i], nullptr);
    } else {
      return false;
    }
  }
  return true;
}

bool wanted(const Options& options, const Check& check) {
  return options.only == nullptr || std::strcmp(options.only, check.name) == 0;
}

void random_calls(Context& context, const Options& options) {
  for (unsigned long long done = 0; done < options.random;) {
    for (const Check& check : kChecks) {
      if (check.random == nullptr || !wanted(options, check)) continue;
      check.random(context);
      ++done;
    }
  }
}

// One backend; true if everything was equal, and something was compared.
bool check_backend(const mlc::KernelTable& reference, const mlc::KernelTable& table,
                   const Options& options) {
  Context context(reference, table, options.seed);
  bool readable = true;
  if (options.golden != nullptr) {
    readable = mlc::check::check_golden(context, options.golden);
  } else if (options.exhaustive) {
    mlc::check::check_scales(context, true);
  } else {
    for (const Check& check : kChecks) {
      if (wanted(options, check)) check.run(context);
    }
    random_calls(context, options);
  }
  std::printf("%-10s %zu results compared, %zu differ\n", table.name, context.comparisons(),
              context.failures());
  if (context.comparisons() == 0) std::fprintf(stderr, "nothing was compared\n");
  return readable && context.failures() == 0 && context.comparisons() > 0;
}

bool only_is_known(const Options& options) {
  if (options.only == nullptr || options.bench) return true;
  bool known = false;
  for (const Check& check : kChecks) known = known || wanted(options, check);
  return known;
}

// GPU N of `--backend cuda:N`. What the processor does for it is `host`'s work.
Backend cuda_backend(const Options& options, const mlc::KernelTable* host) {
  static char why_not[512];
  const mlc::CudaLibrary* library = mlc::open_cuda_library(options.cuda, why_not, sizeof why_not);
  if (library == nullptr) return {options.backend, nullptr, why_not};
  const int device = std::atoi(options.backend + std::strlen("cuda:"));
  const mlc::CudaRequest request = {sizeof(mlc::KernelTable), device, host, why_not,
                                    sizeof why_not};
  return {options.backend, library->backend(&request), why_not};
}

bool wants_cuda(const Options& options) {
  return options.cuda != nullptr && options.backend != nullptr &&
         std::strncmp(options.backend, "cuda:", 5) == 0;
}

// A GPU that fails leaves its work to the host's kernels, which would compare as equal.
bool gpu_failed(const Options& options) {
  char failure[512];
  if (!wants_cuda(options)) return false;
  const mlc::CudaLibrary* library = mlc::open_cuda_library(options.cuda, failure, sizeof failure);
  if (library == nullptr || library->take_failure(failure, sizeof failure) == 0) return false;
  std::fprintf(stderr, "%s\n", failure);
  return true;
}

}  // namespace

int main(int argc, char** argv) {
  Options options;
  if (!parse(argc, argv, &options) || !only_is_known(options)) {
    std::fputs(kUsage, stderr);
    return 2;
  }
  Backend backends[16];
  size_t count = mlc::list_backends(backends, 15);
  const mlc::KernelTable& reference = *backends[count - 1].table;
  if (wants_cuda(options)) backends[count++] = cuda_backend(options, &reference);
  bool equal = true;
  bool found = false;
  for (size_t i = 0; i < count; ++i) {
    const Backend& backend = backends[i];
    if (options.list) {
      std::printf("%s%s%s\n", backend.name, backend.reason ? ": " : "",
                  backend.reason ? backend.reason : "");
      continue;
    }
    const bool named =
        options.backend != nullptr && std::strcmp(options.backend, backend.name) == 0;
    if (options.backend != nullptr && !named) continue;
    if (backend.table == nullptr) {
      std::fprintf(stderr, "%s was not run: %s\n", backend.name, backend.reason);
      continue;
    }
    found = true;
    if (options.bench) {
      const mlc::check::BenchOptions bench = {options.json, options.seconds, options.only};
      if (mlc::check::run_bench(*backend.table, bench) == 0) {
        std::fprintf(stderr, "no kernel's name begins with \"%s\"\n", options.only);
        return 2;
      }
    } else {
      equal = check_backend(reference, *backend.table, options) && equal;
    }
  }
  if (options.list) return 0;
  if (!found) {
    std::fprintf(stderr, "no such backend can run here\n");
    return 3;
  }
  return equal && !gpu_failed(options) ? 0 : 1;
}
