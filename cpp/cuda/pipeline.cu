#include <memory>
#include <mutex>
#include <vector>

#include "pipeline.h"

namespace mlc {
namespace gpu {
namespace {

// A stream with the buffers of one tile: pinned ones, which the GPU copies without the processor,
// and the device's own.
class Slot {
 public:
  Slot() = default;
  Slot(const Slot&) = delete;
  Slot& operator=(const Slot&) = delete;
  ~Slot() {
    free_buffers();
    if (stream_ != nullptr) cudaStreamDestroy(stream_);
  }

  cudaError_t reserve(TileBytes need) {
    if (stream_ == nullptr) {
      const cudaError_t error = cudaStreamCreateWithFlags(&stream_, cudaStreamNonBlocking);
      if (error != cudaSuccess) return error;
    }
    if (need.in <= size_.in && need.out <= size_.out) return cudaSuccess;
    const TileBytes larger = {need.in > size_.in ? need.in : size_.in,
                              need.out > size_.out ? need.out : size_.out};
    free_buffers();
    const cudaError_t error = allocate(larger);
    if (error == cudaSuccess) {
      size_ = larger;
    } else {
      free_buffers();
    }
    return error;
  }

  cudaError_t start(const Job& job, size_t tile) {
    const TileBytes bytes = job.bytes(tile);
    job.stage(tile, pinned_in_);
    cudaError_t error =
        cudaMemcpyAsync(device_in_, pinned_in_, bytes.in, cudaMemcpyHostToDevice, stream_);
    if (error == cudaSuccess) error = job.launch(tile, device_in_, device_out_, stream_);
    if (error == cudaSuccess) {
      error = cudaMemcpyAsync(pinned_out_, device_out_, bytes.out, cudaMemcpyDeviceToHost, stream_);
    }
    tile_ = tile;
    busy_ = true;
    return error;
  }

  // Waits for the tile under way, if there is one, and hands its result over.
  cudaError_t finish(const Job& job) {
    if (!busy_) return cudaSuccess;
    busy_ = false;
    const cudaError_t error = cudaStreamSynchronize(stream_);
    if (error == cudaSuccess) job.collect(tile_, pinned_out_);
    return error;
  }

  // After an error nothing may still be writing to the buffers when they are freed.
  void abandon() {
    busy_ = false;
    if (stream_ != nullptr) cudaStreamSynchronize(stream_);
  }

 private:
  cudaError_t allocate(TileBytes bytes) {
    void* memory = nullptr;
    cudaError_t error = cudaMallocHost(&memory, bytes.in);
    if (error != cudaSuccess) return error;
    pinned_in_ = static_cast<uint8_t*>(memory);
    error = cudaMallocHost(&memory, bytes.out);
    if (error != cudaSuccess) return error;
    pinned_out_ = static_cast<uint8_t*>(memory);
    error = cudaMalloc(&memory, bytes.in);
    if (error != cudaSuccess) return error;
    device_in_ = static_cast<uint8_t*>(memory);
    error = cudaMalloc(&memory, bytes.out);
    if (error != cudaSuccess) return error;
    device_out_ = static_cast<uint8_t*>(memory);
    return cudaSuccess;
  }

  void free_buffers() {
    cudaFreeHost(pinned_in_);
    cudaFreeHost(pinned_out_);
    cudaFree(device_in_);
    cudaFree(device_out_);
    pinned_in_ = pinned_out_ = device_in_ = device_out_ = nullptr;
    size_ = {0, 0};
  }

  cudaStream_t stream_ = nullptr;
  uint8_t* pinned_in_ = nullptr;
  uint8_t* pinned_out_ = nullptr;
  uint8_t* device_in_ = nullptr;
  uint8_t* device_out_ = nullptr;
  TileBytes size_ = {0, 0};
  size_t tile_ = 0;
  bool busy_ = false;
};

struct SlotPair {
  Slot slots[2];
};

// Pairs that no call is using: there are never more than there were calls at once.
struct Pool {
  std::mutex mutex;
  std::vector<std::unique_ptr<SlotPair>> free;
};

// Never destroyed: when a process ends, the driver may be gone before static objects are.
Pool& pool() {
  static Pool* const the_pool = new Pool;
  return *the_pool;
}

std::unique_ptr<SlotPair> take_pair() {
  const std::lock_guard<std::mutex> lock(pool().mutex);
  if (pool().free.empty()) return std::unique_ptr<SlotPair>(new SlotPair);
  std::unique_ptr<SlotPair> pair = std::move(pool().free.back());
  pool().free.pop_back();
  return pair;
}

void give_back(std::unique_ptr<SlotPair> pair) {
  const std::lock_guard<std::mutex> lock(pool().mutex);
  pool().free.push_back(std::move(pair));
}

cudaError_t run_tiles(const Job& job, SlotPair& pair) {
  const size_t tiles = job.tiles();
  for (Slot& slot : pair.slots) {
    if (tiles < 2 && &slot != pair.slots) break;
    const cudaError_t error = slot.reserve(job.bytes(0));
    if (error != cudaSuccess) return error;
  }
  for (size_t tile = 0; tile < tiles; ++tile) {
    Slot& slot = pair.slots[tile % 2];
    cudaError_t error = slot.finish(job);
    if (error == cudaSuccess) error = slot.start(job, tile);
    if (error != cudaSuccess) return error;
  }
  for (size_t i = 0; i < 2; ++i) {
    const cudaError_t error = pair.slots[(tiles + i) % 2].finish(job);
    if (error != cudaSuccess) return error;
  }
  return cudaSuccess;
}

}  // namespace

cudaError_t run(const Job& job, int device) {
  // The current device belongs to the calling thread.
  cudaError_t error = cudaSetDevice(device);
  if (error != cudaSuccess) return error;
  std::unique_ptr<SlotPair> pair = take_pair();
  error = run_tiles(job, *pair);
  if (error != cudaSuccess) {
    // The pair's buffers go with it, once nothing writes to them any more.
    for (Slot& slot : pair->slots) slot.abandon();
    return error;
  }
  give_back(std::move(pair));
  return cudaSuccess;
}

}  // namespace gpu
}  // namespace mlc
