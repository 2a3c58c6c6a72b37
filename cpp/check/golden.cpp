// Recorded results, one a line, read from a file or (path "-") from standard input:
//
//   group <from> <model> <bits> <group> <NK|KN> <rows> <cols> <source> <words> <scales>
//   md5 <blocks of 64 bytes> <state after them, from the initial state>
//
// Bytes are hex, in memory order. Words and scales are whole matrices: KN is the transpose of NK.
#include <cstdio>
#include <cstring>
#include <fstream>
#include <iostream>
#include <sstream>

#include "context.h"

namespace mlc::check {
namespace {

int digit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  return -1;
}

bool parse_hex(const std::string& text, Bytes* out) {
  if (text.size() % 2 != 0) return false;
  *out = Bytes(text.size() / 2);
  for (size_t i = 0; i < out->size(); ++i) {
    const int high = digit(text[i * 2]);
    const int low = digit(text[i * 2 + 1]);
    if (high < 0 || low < 0) return false;
    out->data()[i] = static_cast<uint8_t>(high * 16 + low);
  }
  return true;
}

bool golden_group(Context& context, std::istringstream& line) {
  std::string from, model, layout, source_hex, words_hex, scales_hex;
  size_t bits = 0, group = 0, rows = 0, cols = 0;
  line >> from >> model >> bits >> group >> layout >> rows >> cols >> source_hex >> words_hex >>
      scales_hex;
  GroupQuantizeArgs args = {};
  Bytes source(0), words(0), scales(0);
  if (!line || !parse_dtype(from, &args.from) || !parse_dtype(model, &args.model) ||
      !parse_hex(source_hex, &source) || !parse_hex(words_hex, &words) ||
      !parse_hex(scales_hex, &scales)) {
    return false;
  }
  const size_t groups = (cols + group - 1) / group;
  const size_t scale = size_of(args.model);
  if (source.size() != rows * cols * size_of(args.from) || words.size() != rows * groups * 16 ||
      scales.size() != rows * groups * scale) {
    return false;
  }
  const bool transposed = layout == "KN";
  Bytes actual_words(words.size());
  Bytes actual_scales(scales.size());
  args.src = source.data();
  args.src_row_stride = cols * size_of(args.from);
  args.rows = rows;
  args.cols = cols;
  args.words = actual_words.data();
  args.word_row_stride = transposed ? 4 : groups * 16;
  args.word_stride = transposed ? rows * 4 : 4;
  args.scales = actual_scales.data();
  args.scale_row_stride = transposed ? scale : groups * scale;
  args.scale_stride = transposed ? rows * scale : scale;
  args.bits = static_cast<uint8_t>(bits);
  args.group = static_cast<uint8_t>(group);
  args.divide_by_unrounded_scale = transposed && args.model == DType::kBf16;
  context.tested.group.quantize(&args);
  const std::string what = "golden group " + model + " " + layout;
  context.expect_equal({what + " words", 4}, words, actual_words);
  context.expect_equal({what + " scales", scale}, scales, actual_scales);
  return true;
}

bool golden_md5(Context& context, std::istringstream& line) {
  std::string data_hex, state_hex;
  line >> data_hex >> state_hex;
  Bytes data(0), expected(0);
  if (!line || !parse_hex(data_hex, &data) || !parse_hex(state_hex, &expected)) return false;
  Md5State state = {{0x67452301, 0xefcdab89, 0x98badcfe, 0x10325476}};
  Md5State* const states[1] = {&state};
  const uint8_t* const inputs[1] = {data.data()};
  context.tested.md5.update(states, inputs, data.size() / 64, 1);
  Bytes actual(sizeof state);
  std::memcpy(actual.data(), &state, sizeof state);
  context.expect_equal({"golden md5", 16}, expected, actual);
  return true;
}

bool golden_line(Context& context, const std::string& text) {
  std::istringstream line(text);
  std::string kind;
  line >> kind;
  if (kind == "group") return golden_group(context, line);
  if (kind == "md5") return golden_md5(context, line);
  return false;
}

}  // namespace

bool check_golden(Context& context, const char* path) {
  std::ifstream file;
  const bool from_stdin = std::strcmp(path, "-") == 0;
  if (!from_stdin) file.open(path);
  std::istream& input = from_stdin ? std::cin : file;
  if (!input) {
    std::fprintf(stderr, "cannot read %s\n", path);
    return false;
  }
  std::string text;
  for (size_t number = 1; std::getline(input, text); ++number) {
    if (!golden_line(context, text)) {
      std::fprintf(stderr, "%s:%zu: not a line of golden results\n", path, number);
      return false;
    }
  }
  return true;
}

}  // namespace mlc::check
