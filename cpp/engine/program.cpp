#include "program.h"

namespace mlc {

namespace {

uint64_t ceil_div(uint64_t a, uint64_t b) { return (a + b - 1) / b; }

bool is_float(DType dtype) {
  return dtype == DType::kF32 || dtype == DType::kF16 || dtype == DType::kBf16;
}

// Whether every element can be brought into the model dtype: bits of any type may be copied, but
// only floats are computed with.
bool is_convertible(const Piece& piece, const Gather& gather) {
  if (piece.transform == Transform::kDividePow2 && piece.transform_argument > 126) return false;
  for (const Block& block : gather.blocks) {
    const ElementType& type = block.type;
    const bool copied =
        !type.is_block && type.dtype == piece.model && piece.transform == Transform::kNone;
    if (!copied && !is_float(piece.model)) return false;
    const bool summed = piece.transform == Transform::kAddOneInSource;
    if (summed && !type.is_block && !is_float(type.dtype)) return false;
  }
  return true;
}

bool is_group_sound(const Piece& piece) {
  const bool known =
      (piece.bits == 4 && piece.group == 32) || (piece.bits == 3 && piece.group == 40);
  return known && is_float(piece.model) && (!piece.store_bf16_scale || piece.model == DType::kF32);
}

}  // namespace

uint64_t encoded_bytes(const Piece& piece) {
  const uint64_t elements = piece.rows * piece.cols;
  const uint64_t groups = piece.group == 0 ? 0 : piece.rows * ceil_div(piece.cols, piece.group);
  switch (piece.encoding) {
    case Encoding::kRaw:
      return elements * dtype_bytes(piece.model);
    case Encoding::kRawBf16:
      return elements * 2;
    case Encoding::kGroupWords:
      return groups * 16;
    case Encoding::kGroupScales:
      return groups * (piece.store_bf16_scale ? 2 : dtype_bytes(piece.model));
    case Encoding::kFp8Values:
      return elements;
    case Encoding::kFp8Scale:
      return 2;
    case Encoding::kFtWords:
      return elements / 2;
    case Encoding::kFtScales:
      return piece.rows * 2;
    case Encoding::kConstant:
      return 2;
    case Encoding::kGgml:
      return block_type(piece.ggml).bytes(static_cast<size_t>(elements));
  }
  return 0;
}

bool is_sound(const Piece& piece) {
  if (piece.encoding == Encoding::kConstant) return true;
  if (piece.rows == 0 || piece.cols == 0) return false;
  if (!is_convertible(piece, piece.gather) || !is_convertible(piece, piece.scale_gather))
    return false;
  switch (piece.encoding) {
    case Encoding::kRaw:
      return true;
    case Encoding::kRawBf16:
      return piece.model == DType::kF32;
    case Encoding::kGroupWords:
    case Encoding::kGroupScales:
      return is_group_sound(piece);
    case Encoding::kFp8Values:
    case Encoding::kFp8Scale:
      return piece.model == DType::kF16;
    case Encoding::kFtWords:
      if (piece.model != DType::kF16) return false;
      return piece.ft_arch < 75 ? piece.rows % 8 == 0 : piece.rows % 4 == 0 && piece.cols % 64 == 0;
    case Encoding::kFtScales:
      return piece.model == DType::kF16;
    case Encoding::kGgml:
      return piece.model == DType::kF32 &&
             piece.rows * piece.cols % block_type(piece.ggml).block_elements() == 0;
    case Encoding::kConstant:
      break;
  }
  return false;
}

bool makes_scales(Encoding encoding) {
  return encoding == Encoding::kGroupWords || encoding == Encoding::kFp8Values;
}

bool are_scales_of(const Piece& scales, const Piece& words) {
  if (scales.encoding == Encoding::kFp8Scale) return words.encoding == Encoding::kFp8Values;
  return scales.encoding == Encoding::kGroupScales && words.encoding == Encoding::kGroupWords &&
         words.rows == scales.rows && words.cols == scales.cols && words.group == scales.group &&
         words.model == scales.model && words.transposed == scales.transposed;
}

}  // namespace mlc
