import { PlanError } from "../../core/errors.ts";
import { isArray, isObject, type Json, type JsonObject, toNumber } from "../../core/json.ts";

/** Typed access to a config.json, with the default of the model's config class where a field is missing. */
export class ConfigReader {
  private readonly config: JsonObject;

  constructor(config: JsonObject) {
    this.config = config;
  }

  /** The field, or `undefined` if it is missing or null. */
  get(name: string): Json | undefined {
    return this.config.get(name) ?? undefined;
  }

  /** @throws {PlanError} `E_GGUF_CONFIG` if the field is neither a number nor missing with a default */
  number(name: string, fallback?: number): number {
    const value = this.get(name);
    const number = value === undefined ? fallback : toNumber(value);
    if (number !== undefined) return number;
    throw configError(
      `config.json: expected a number as ${name}, found ${value === undefined ? "none" : "another value"}`,
    );
  }

  /** A number that may be missing. */
  optional(name: string): number | undefined {
    return this.get(name) === undefined ? undefined : this.number(name);
  }

  flag(name: string, fallback: boolean): boolean {
    const value = this.get(name);
    return typeof value === "boolean" ? value : fallback;
  }

  string(name: string): string | undefined {
    const value = this.get(name);
    return typeof value === "string" ? value : undefined;
  }

  object(name: string): ConfigReader | undefined {
    const value = this.get(name);
    return isObject(value) ? new ConfigReader(value) : undefined;
  }

  numbers(name: string): readonly number[] | undefined {
    const value = this.get(name);
    if (!isArray(value)) return undefined;
    const numbers = value.map(toNumber).filter((number): number is number => number !== undefined);
    return numbers.length === value.length ? numbers : undefined;
  }
}

/** What a GGUF file cannot express about a model, or what its config gets wrong. */
export function configError(message: string, code = "E_GGUF_CONFIG"): PlanError {
  return new PlanError(code, message, {
    hint:
      code === "E_GGUF_CONFIG"
        ? "check config.json against the model's repository"
        : "this model has no faithful GGUF form; convert it to the MLC format instead",
  });
}
