// MD5 (RFC 1321), because tensor-cache.json lists it and WebCrypto does not have it.

const SHIFTS = [
  [7, 12, 17, 22],
  [5, 9, 14, 20],
  [4, 11, 16, 23],
  [6, 10, 15, 21],
];
/** The integer part of |sin(i + 1)| * 2^32. */
const SINES = Int32Array.from({ length: 64 }, (_, i) => Math.floor(Math.abs(Math.sin(i + 1)) * 2 ** 32) | 0);

/**
 * @param {Uint8Array} bytes
 * @returns {string} 32 lower-case hex digits
 */
export function md5Hex(bytes) {
  const state = Int32Array.of(0x67452301, 0xefcdab89, 0x98badcfe, 0x10325476);
  const words = new Int32Array(16);
  const whole = bytes.length - (bytes.length % 64);
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  for (let at = 0; at < whole; at += 64) addBlock(state, words, view, at);
  const tail = padded(bytes.subarray(whole), bytes.length);
  for (let at = 0; at < tail.byteLength; at += 64) addBlock(state, words, tail, at);
  const digest = new DataView(new ArrayBuffer(16));
  for (const [index, word] of state.entries()) digest.setInt32(index * 4, word, true);
  return Array.from(new Uint8Array(digest.buffer), (byte) => byte.toString(16).padStart(2, "0")).join("");
}

/** The last bytes, one bit, zeros, and the length in bits as 64 bits, little-endian. */
function padded(rest, length) {
  const view = new DataView(new ArrayBuffer(rest.length < 56 ? 64 : 128));
  new Uint8Array(view.buffer).set(rest);
  view.setUint8(rest.length, 0x80);
  view.setUint32(view.byteLength - 8, (length * 8) >>> 0, true);
  view.setUint32(view.byteLength - 4, Math.floor(length / 2 ** 29), true);
  return view;
}

function addBlock(state, words, view, at) {
  for (let i = 0; i < 16; i++) words[i] = view.getInt32(at + i * 4, true);
  let [a, b, c, d] = state;
  for (let i = 0; i < 64; i++) {
    let mixed;
    let word;
    if (i < 16) {
      mixed = (b & c) | (~b & d);
      word = i;
    } else if (i < 32) {
      mixed = (d & b) | (~d & c);
      word = (5 * i + 1) & 15;
    } else if (i < 48) {
      mixed = b ^ c ^ d;
      word = (3 * i + 5) & 15;
    } else {
      mixed = c ^ (b | ~d);
      word = (7 * i) & 15;
    }
    const sum = (a + mixed + SINES[i] + words[word]) | 0;
    const shift = SHIFTS[i >> 4][i & 3];
    a = d;
    d = c;
    c = b;
    b = (b + ((sum << shift) | (sum >>> (32 - shift)))) | 0;
  }
  state[0] += a;
  state[1] += b;
  state[2] += c;
  state[3] += d;
}
