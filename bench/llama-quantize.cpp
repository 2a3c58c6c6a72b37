// What llama-quantize does, through the prebuilt library: LIBRARY INPUT OUTPUT FILE_TYPE THREADS.
// The library's parameter struct begins with the number of threads and the file type; the rest is
// left as the library fills it in, so its declaration is not needed.
#include <dlfcn.h>

#include <cstdint>
#include <cstdio>
#include <cstdlib>

struct Parameters {
  int32_t threads;
  int32_t file_type;
  char rest[1024];
};

int main(int count, char** arguments) {
  if (count != 6) return 2;
  void* library = dlopen(arguments[1], RTLD_NOW | RTLD_GLOBAL);
  if (library == nullptr) {
    std::fprintf(stderr, "%s\n", dlerror());
    return 1;
  }
  const auto init = reinterpret_cast<void (*)()>(dlsym(library, "llama_backend_init"));
  const auto defaults =
      reinterpret_cast<Parameters (*)()>(dlsym(library, "llama_model_quantize_default_params"));
  const auto quantize = reinterpret_cast<uint32_t (*)(const char*, const char*, const Parameters*)>(
      dlsym(library, "llama_model_quantize"));
  if (init == nullptr || defaults == nullptr || quantize == nullptr) return 1;
  init();
  Parameters parameters = defaults();
  parameters.file_type = std::atoi(arguments[4]);
  parameters.threads = std::atoi(arguments[5]);
  return quantize(arguments[2], arguments[3], &parameters) == 0 ? 0 : 1;
}
