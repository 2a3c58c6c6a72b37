import { UsageError } from "../core/errors.ts";
import { nearest } from "../core/nearest.ts";

type Format = "mlc" | "gguf";

interface Naming {
  readonly title: string;
  /** How the format's names look. */
  readonly looks: RegExp;
  /** How the format is asked for. */
  readonly option: string;
}

const NAMINGS: Readonly<Record<Format, Naming>> = {
  mlc: {
    title: "quantization of MLC-LLM",
    looks: /^(q\d\w*f\d|e\dm\d|fp8)/i,
    option: "leave --format gguf out",
  },
  gguf: { title: "GGUF quantization", looks: /^i?q\d_/i, option: "give --format gguf" },
};

/** The error for a quantization that `format` does not have, with what was probably meant. */
export function unknownQuantization(
  name: string,
  format: Format,
  known: readonly { readonly name: string }[],
): UsageError {
  const names = known.map((each) => each.name);
  const { title } = NAMINGS[format];
  const other = NAMINGS[format === "mlc" ? "gguf" : "mlc"];
  const meant = nearest(name, names);
  const isOther = other.looks.test(name);
  const guess = isOther
    ? `for a ${other.title} ${other.option}, or `
    : meant
      ? `did you mean ${meant}? `
      : "";
  return new UsageError("E_UNKNOWN_QUANTIZATION", `unknown ${title} "${name}"`, {
    hint: `${guess}choose one of ${names.join(", ")}`,
  });
}
