/** FasterTransformer's codes as upstream packs them before the layout: `[cols, rows / 2]`, two signed nibbles a byte. */
export type PackedCodes = Uint8Array;

interface FtShape {
  /** Output features, the rows of the unquantized weight. */
  readonly rows: number;
  /** Input features. */
  readonly cols: number;
}

/** Where a nibble of a 32-bit word stands in the sequence of eight values: the inverse of 0 2 4 6 1 3 5 7. */
const PLACE_OF_NIBBLE = [0, 2, 4, 6, 1, 3, 5, 7] as const;
const ROWS_OF_TILE = 64;
const INTERLEAVED = 4;

/** Row and column of the weight at one place of Volta's sequence: row-major over `[cols, rows]`. */
function voltaPlace(at: number, { rows }: FtShape): readonly [row: number, col: number] {
  return [at % rows, Math.floor(at / rows)];
}

/**
 * The same for sm75 and later, unwound from the outside: four output features share tiles of 64 inputs, and in
 * each block of 32 inputs the tensor cores take pairs 8 apart.
 */
function turingPlace(at: number, { cols }: FtShape): readonly [row: number, col: number] {
  const inTile = at % ROWS_OF_TILE;
  const neighbour = Math.floor(at / ROWS_OF_TILE) % INTERLEAVED;
  const tile = Math.floor(at / (ROWS_OF_TILE * INTERLEAVED));
  const tilesOfFour = cols / ROWS_OF_TILE;
  const row = Math.floor(tile / tilesOfFour) * INTERLEAVED + neighbour;
  const block = inTile - (inTile % 32);
  const [pair, quarter, odd] = [Math.floor((inTile % 8) / 2), Math.floor((inTile % 32) / 8), inTile % 2];
  return [row, (tile % tilesOfFour) * ROWS_OF_TILE + block + 8 * pair + 2 * quarter + odd];
}

/**
 * Undoes the CUTLASS mixed-GEMM layout, written from its description and not from the converter's code.
 * @param stored `q_weight` as stored
 * @param arch compute capability that it was laid out for
 * @returns signed codes -8 … 7, row-major `[rows, cols]`
 */
export function undoFtLayout(stored: Uint8Array, shape: FtShape, arch: number): Int8Array {
  const placeOf = arch < 75 ? voltaPlace : turingPlace;
  const codes = new Int8Array(shape.rows * shape.cols);
  for (let nibble = 0; nibble < codes.length; nibble++) {
    const byte = stored[nibble >> 1] as number;
    const code = (nibble % 2 === 0 ? byte : byte >> 4) & 15;
    const [row, col] = placeOf(nibble - (nibble % 8) + (PLACE_OF_NIBBLE[nibble % 8] as number), shape);
    codes[row * shape.cols + col] = code - 8;
  }
  return codes;
}

/** Packs codes as upstream does before it rearranges them: `[cols, rows / 2]`, the even row in the low nibble. */
export function packFtCodes(codes: Int8Array, { rows, cols }: FtShape): PackedCodes {
  const packed = new Uint8Array((rows * cols) / 2);
  for (let row = 0; row < rows; row++) {
    for (let col = 0; col < cols; col++) {
      const at = col * (rows / 2) + (row >> 1);
      const code = (codes[row * cols + col] as number) & 15;
      packed[at] = (packed[at] as number) | (row % 2 === 0 ? code : code << 4);
    }
  }
  return packed;
}
