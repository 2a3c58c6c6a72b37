import type { ByteSource } from "../core/byte-source.ts";

/** A pointer is a short text; content this small is never a model's weights. */
const POINTER_MAX_BYTES = 1024;
const POINTER_START = "version https://git-lfs";

/** True if the file is the stand-in that a clone without LFS support leaves (formats.md §13). */
export async function isLfsPointer(file: ByteSource): Promise<boolean> {
  if (file.size < POINTER_START.length || file.size >= POINTER_MAX_BYTES) return false;
  const start = await file.read(0, POINTER_START.length);
  return new TextDecoder().decode(start) === POINTER_START;
}
