import { createHash } from "node:crypto";
import { createReadStream } from "node:fs";

/** Size and hash of a file's content. */
export interface FileIntegrity {
  readonly nbytes: number;
  /** Subresource Integrity: `sha256-` and the digest in base64. */
  readonly integrity: string;
}

/** Size and hash of bytes or of a text in UTF-8. */
export function integrityOf(content: Uint8Array | string): FileIntegrity {
  const bytes = typeof content === "string" ? Buffer.from(content, "utf8") : content;
  return { nbytes: bytes.length, integrity: spell(createHash("sha256").update(bytes)) };
}

/** Reads a file once, in pieces; rejects with the file system's error. */
export async function readFileIntegrity(path: string): Promise<FileIntegrity> {
  const hash = createHash("sha256");
  let nbytes = 0;
  for await (const piece of createReadStream(path)) {
    const bytes = piece as Buffer;
    nbytes += bytes.length;
    hash.update(bytes);
  }
  return { nbytes, integrity: spell(hash) };
}

function spell(hash: ReturnType<typeof createHash>): string {
  return `sha256-${hash.digest("base64")}`;
}
