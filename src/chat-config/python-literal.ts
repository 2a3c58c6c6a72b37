const LITERAL = /^(b?)(['"])([\s\S]*)\2$/;
const ESCAPE = /\\(?:([\\'"nrtabfv])|x([0-9a-fA-F]{2})|u([0-9a-fA-F]{4})|U([0-9a-fA-F]{8})|([0-7]{1,3}))/y;
const SIMPLE: Readonly<Record<string, string>> = {
  "\\": "\\",
  "'": "'",
  '"': '"',
  n: "\n",
  r: "\r",
  t: "\t",
  a: "\x07",
  b: "\b",
  f: "\f",
  v: "\v",
};

/**
 * The bytes of a Python string or bytes literal; a string is encoded as UTF-8.
 * @returns `undefined` when it is no such literal
 */
export function parsePythonLiteral(text: string): Uint8Array | undefined {
  const match = LITERAL.exec(text);
  if (!match) return undefined;
  const [, prefix, quote = "", body = ""] = match;
  const characters = resolveEscapes(body, quote, prefix === "b");
  if (characters === undefined) return undefined;
  return Buffer.from(characters, prefix === "b" ? "latin1" : "utf8");
}

function resolveEscapes(body: string, quote: string, isBytes: boolean): string | undefined {
  let result = "";
  for (let at = 0; at < body.length; ) {
    const character = body[at] ?? "";
    if (character === quote || (isBytes && character > "\x7f")) return undefined;
    if (character !== "\\") {
      result += character;
      at++;
      continue;
    }
    ESCAPE.lastIndex = at;
    const match = ESCAPE.exec(body);
    const value = match ? escaped(match, isBytes) : undefined;
    if (!match || value === undefined) return undefined;
    result += value;
    at += match[0].length;
  }
  return result;
}

function escaped(match: RegExpExecArray, isBytes: boolean): string | undefined {
  const [, simple, hex, unicode, wide, octal] = match;
  if (simple !== undefined) return SIMPLE[simple];
  if (hex !== undefined) return String.fromCharCode(Number.parseInt(hex, 16));
  if (octal !== undefined) return String.fromCharCode(Number.parseInt(octal, 8));
  const point = Number.parseInt(unicode ?? wide ?? "", 16);
  return isBytes || point > 0x10ffff ? undefined : String.fromCodePoint(point);
}
