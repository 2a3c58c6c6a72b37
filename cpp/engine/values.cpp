#include "values.h"

#include <algorithm>
#include <cstring>

#include "scratch.h"

namespace mlc {

namespace {

// Elements that pass through scratch at once: small enough for the L2 cache in float32. A whole
// number of every block type's blocks.
constexpr size_t kBatch = 16384;
// The same where they are looked at again once they are cast: small enough for the first cache.
constexpr size_t kCounted = 4096;

bool readable_by_group_kernels(DType dtype) {
  return dtype == DType::kF32 || dtype == DType::kF16 || dtype == DType::kBf16;
}

// Copies a [rows, cols] tile whose rows are neighbours and whose columns are `col_stride` apart.
template <typename Unit>
void transpose_column(const uint8_t* src, size_t rows, size_t row_step, uint8_t* dst) {
  for (size_t row = 0; row < rows; ++row) {
    std::memcpy(dst + row * row_step * sizeof(Unit), src + row * sizeof(Unit), sizeof(Unit));
  }
}

void scatter_column(size_t unit, const uint8_t* src, size_t rows, size_t row_step, uint8_t* dst) {
  switch (unit) {
    case 1:
      return transpose_column<uint8_t>(src, rows, row_step, dst);
    case 2:
      return transpose_column<uint16_t>(src, rows, row_step, dst);
    case 4:
      return transpose_column<uint32_t>(src, rows, row_step, dst);
    default:
      return transpose_column<uint64_t>(src, rows, row_step, dst);
  }
}

}  // namespace

Span span_at(const Gather& gather, uint64_t first) {
  const uint64_t per_outer = gather.ends.back();
  const uint64_t outer = first / per_outer;
  const uint64_t inner = first % per_outer;
  const size_t index = static_cast<size_t>(
      std::upper_bound(gather.ends.begin(), gather.ends.end(), inner) - gather.ends.begin());
  const Block& block = gather.blocks[index];
  uint64_t flat = inner - (index == 0 ? 0 : gather.ends[index - 1]);

  const size_t last = block.rank - 1;
  const uint64_t at_last = flat % block.extent[last];
  uint64_t element = outer * static_cast<uint64_t>(block.outer_stride) +
                     at_last * static_cast<uint64_t>(block.stride[last]);
  flat /= block.extent[last];
  uint64_t neighbours = 1;
  for (size_t axis = last; axis-- > 0;) {
    const uint64_t at = flat % block.extent[axis];
    element += at * static_cast<uint64_t>(block.stride[axis]);
    if (axis + 1 == last && at_last == 0 && block.stride[axis] == 1) {
      neighbours = block.extent[axis] - at;
    }
    flat /= block.extent[axis];
  }
  const uint64_t offset = block.byte_offset + block.type.bytes(static_cast<size_t>(element));
  return {&block, offset, block.extent[last] - at_last, block.stride[last], neighbours};
}

Status ValueLoader::read_error(const Span& span) const {
  return Status::error("E_SOURCE_READ", "cannot read " + sources_[span.block->source]->path() +
                                            " at byte " + std::to_string(span.byte_offset));
}

// `count` elements of a contiguous span, `skip` elements in.
const uint8_t* ValueLoader::fetch(const Span& span, uint64_t skip, size_t count) {
  const SourceFile& source = *sources_[span.block->source];
  const ElementType& type = span.block->type;
  const size_t bytes = type.bytes(count);
  uint8_t* scratch = source.mapped() ? nullptr : grow(&fetched_, bytes);
  return source.bytes(span.byte_offset + type.bytes(static_cast<size_t>(skip)), bytes, scratch);
}

void ValueLoader::note_cast(const Piece& piece, DType from, const uint8_t* src, const uint8_t* made,
                            size_t count) {
  if (meter_ != nullptr) meter_->cast(from, piece.model, src, made, count);
}

void ValueLoader::convert_floats(const Piece& piece, DType from, const uint8_t* src, size_t count,
                                 uint8_t* dst) {
  const ElementKernels& element = kernels_.element;
  const size_t width = std::max<size_t>(4, dtype_bytes(from));
  switch (piece.transform) {
    case Transform::kNone:
      if (from == piece.model) {
        std::memcpy(dst, src, count * dtype_bytes(from));
      } else {
        element.cast(from, piece.model, src, dst, count);
      }
      return note_cast(piece, from, src, dst, count);
    case Transform::kAddOneInSource: {
      uint8_t* sum = grow(&first_step_, count * width);
      element.add_one(from, src, sum, count);
      element.cast(from, piece.model, sum, dst, count);
      return note_cast(piece, from, sum, dst, count);
    }
    case Transform::kAddOneInF32: {
      uint8_t* wide = grow(&first_step_, count * 4);
      uint8_t* sum = grow(&second_step_, count * 4);
      element.cast(from, DType::kF32, src, wide, count);
      element.add_one(DType::kF32, wide, sum, count);
      element.cast(DType::kF32, piece.model, sum, dst, count);
      return note_cast(piece, DType::kF32, sum, dst, count);
    }
    case Transform::kDividePow2: {
      uint8_t* rounded = grow(&first_step_, count * 4);
      element.cast(from, piece.model, src, rounded, count);
      element.divide_pow2(piece.model, piece.transform_argument, rounded, dst, count);
      return note_cast(piece, from, src, rounded, count);
    }
    case Transform::kExpNegExp: {
      uint8_t* wide = grow(&first_step_, count * 4);
      uint8_t* result = grow(&second_step_, count * 4);
      element.cast(from, DType::kF32, src, wide, count);
      element.exp_neg_exp(wide, result, count);
      element.cast(DType::kF32, piece.model, result, dst, count);
      return note_cast(piece, DType::kF32, result, dst, count);
    }
  }
}

void ValueLoader::convert(const Piece& piece, const ElementType& from, const uint8_t* src,
                          size_t count, uint8_t* dst) {
  const size_t batch = meter_ == nullptr ? kBatch : kCounted;
  for (size_t done = 0; done < count; done += batch) {
    const size_t step = std::min(batch, count - done);
    const uint8_t* at = src + from.bytes(done);
    uint8_t* to = dst + done * dtype_bytes(piece.model);
    if (from.is_block) {
      uint8_t* floats = grow(&decoded_, step * 4);
      kernels_.ggml.dequantize(from.block, at, floats, step);
      convert_floats(piece, DType::kF32, floats, step, to);
    } else {
      convert_floats(piece, from.dtype, at, step, to);
    }
  }
}

// A span with gaps: whole neighbouring spans are read across, so that every source line is used.
Status ValueLoader::load_strided(const Piece& piece, const Span& span, uint64_t count,
                                 uint8_t* dst) {
  const ElementType& type = span.block->type;
  const size_t unit = type.block_bytes();
  const uint64_t cols = std::min(span.count, count);
  const uint64_t whole = cols == span.count ? std::min(span.neighbours, count / cols) : 1;
  const uint64_t rows_at_once = std::max<uint64_t>(1, std::min<uint64_t>(whole, kBatch / cols));
  for (uint64_t row = 0; row < whole; row += rows_at_once) {
    const size_t rows = static_cast<size_t>(std::min(rows_at_once, whole - row));
    uint8_t* packed = grow(&packed_, static_cast<size_t>(cols) * rows * unit);
    for (uint64_t col = 0; col < cols; ++col) {
      Span column = span;
      column.byte_offset += (col * static_cast<uint64_t>(span.stride) + row) * unit;
      const uint8_t* src = fetch(column, 0, rows);
      if (src == nullptr) return read_error(column);
      scatter_column(unit, src, rows, static_cast<size_t>(cols), packed + col * unit);
    }
    convert(piece, type, packed, static_cast<size_t>(cols) * rows, dst);
    dst += static_cast<size_t>(cols) * rows * dtype_bytes(piece.model);
  }
  return Status::ok();
}

Status ValueLoader::load_span(const Piece& piece, const Span& span, uint64_t count, uint8_t* dst) {
  if (span.stride != 1) return load_strided(piece, span, count, dst);
  const bool mapped = sources_[span.block->source]->mapped();
  const size_t batch = mapped ? static_cast<size_t>(count) : kBatch;
  for (uint64_t done = 0; done < count; done += batch) {
    const size_t step = static_cast<size_t>(std::min<uint64_t>(batch, count - done));
    const uint8_t* src = fetch(span, done, step);
    if (src == nullptr) return read_error(span);
    convert(piece, span.block->type, src, step, dst + done * dtype_bytes(piece.model));
  }
  return Status::ok();
}

Status ValueLoader::load(const Piece& piece, const Gather& gather, uint64_t first, uint64_t count,
                         uint8_t* dst) {
  while (count > 0) {
    const Span span = span_at(gather, first);
    uint64_t step = std::min(span.count, count);
    if (span.stride != 1 && step == span.count) step *= std::min(span.neighbours, count / step);
    const Status status = load_span(piece, span, step, dst);
    if (!status.is_ok()) return status;
    first += step;
    count -= step;
    dst += step * dtype_bytes(piece.model);
  }
  return Status::ok();
}

const uint8_t* ValueLoader::lend(const Piece& piece, const Gather& gather, uint64_t first,
                                 uint64_t* count) const {
  if (piece.transform != Transform::kNone) return nullptr;
  const Span span = span_at(gather, first);
  const SourceFile& source = *sources_[span.block->source];
  if (span.block->type.is_block || span.block->type.dtype != piece.model) return nullptr;
  if (span.stride != 1 || !source.mapped()) return nullptr;
  *count = std::min(*count, span.count);
  return source.bytes(span.byte_offset, 0, nullptr);
}

Status ValueLoader::rows(const Piece& piece, uint64_t row, uint64_t rows, uint64_t col,
                         uint64_t cols, RowView* view) {
  const Span span = span_at(piece.gather, row * piece.cols);
  const ElementType& type = span.block->type;
  const SourceFile& source = *sources_[span.block->source];
  if (piece.transform == Transform::kNone && span.stride == 1 && span.count >= piece.cols &&
      source.mapped() && !type.is_block && readable_by_group_kernels(type.dtype)) {
    const size_t unit = type.block_bytes();
    const uint8_t* data = source.bytes(span.byte_offset + col * unit, 0, nullptr);
    *view = {data, type.dtype, static_cast<size_t>(piece.cols) * unit,
             std::min(rows, span.count / piece.cols), true};
    return Status::ok();
  }
  const size_t row_bytes = static_cast<size_t>(cols) * dtype_bytes(piece.model);
  const uint64_t staged =
      std::max<uint64_t>(1, std::min<uint64_t>(rows, staged_bytes_ / row_bytes));
  uint8_t* buffer = grow(&staged_rows_, static_cast<size_t>(staged) * row_bytes);
  *view = {buffer, piece.model, row_bytes, staged, false};
  if (cols == piece.cols) return load(piece, row * cols, staged * cols, buffer);
  for (uint64_t index = 0; index < staged; ++index) {
    const Status status =
        load(piece, (row + index) * piece.cols + col, cols, buffer + index * row_bytes);
    if (!status.is_ok()) return status;
  }
  return Status::ok();
}

}  // namespace mlc
