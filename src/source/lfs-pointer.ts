import { open } from "node:fs/promises";

/** Content and size that a pointer stands for. */
export interface LfsPointer {
  readonly sha256: string;
  readonly size: number;
}

/** Reads a pointer out of a file's first bytes; `undefined` for anything else (formats.md §13). */
export function parseLfsPointer(content: Uint8Array): LfsPointer | undefined {
  if (content.byteLength >= 1024) return undefined;
  const text = Buffer.from(content).toString("latin1");
  if (!text.startsWith("version https://git-lfs")) return undefined;
  const sha256 = /^oid sha256:([0-9a-f]{64})$/m.exec(text)?.[1] ?? "";
  const size = Number(/^size (\d+)$/m.exec(text)?.[1] ?? Number.NaN);
  return { sha256, size };
}

/** True when the file at `file` is a pointer instead of content. */
export async function isLfsPointer(file: string): Promise<boolean> {
  const handle = await open(file);
  try {
    const { size } = await handle.stat();
    if (size >= 1024) return false;
    const { buffer, bytesRead } = await handle.read(Buffer.alloc(1024), 0, 1024, 0);
    return parseLfsPointer(buffer.subarray(0, bytesRead)) !== undefined;
  } finally {
    await handle.close();
  }
}
