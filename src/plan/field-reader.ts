import { PlanError } from "../core/errors.ts";
import { Float, formatJson, isObject, type Json, type JsonObject, toNumber } from "../core/json.ts";

/** A short spelling of a value for messages. */
export function spell(value: Json | undefined): string {
  if (value === undefined) return "nothing";
  const text = formatJson(value, 0).replace(/\s+/g, " ");
  return text.length <= 60 ? text : `${text.slice(0, 57)}...`;
}

/** Reads the fields of one config object with types, and says which class and field are wrong. */
export class FieldReader {
  /** Class name, and the path of a nested object: `Gemma3Config.text_config`. */
  readonly where: string;
  private readonly values: JsonObject;

  constructor(where: string, values: JsonObject) {
    this.where = where;
    this.values = values;
  }

  /** The value as it is; `undefined` where there is none. */
  get(name: string): Json | undefined {
    return this.values.get(name);
  }

  /** True where the field is null or absent. */
  isNull(name: string): boolean {
    return (this.values.get(name) ?? null) === null;
  }

  /** True for the integer 0 and the float 0.0. */
  isZero(name: string): boolean {
    return toNumber(this.values.get(name)) === 0;
  }

  /** @throws {PlanError} `E_CONFIG_FIELD_TYPE` */
  integer(name: string): number {
    const value = this.values.get(name);
    if (typeof value === "number") return value;
    throw this.mismatch(name, "an integer");
  }

  /** An integer or a float. @throws {PlanError} `E_CONFIG_FIELD_TYPE` */
  number(name: string): number {
    const value = this.values.get(name);
    if (typeof value === "number") return value;
    if (value instanceof Float) return value.value;
    throw this.mismatch(name, "a number");
  }

  /** @throws {PlanError} `E_CONFIG_FIELD_TYPE` */
  flag(name: string): boolean {
    const value = this.values.get(name);
    if (typeof value === "boolean") return value;
    throw this.mismatch(name, "true or false");
  }

  /** @throws {PlanError} `E_CONFIG_FIELD_TYPE` */
  text(name: string): string {
    const value = this.values.get(name);
    if (typeof value === "string") return value;
    throw this.mismatch(name, "a string");
  }

  /** @throws {PlanError} `E_CONFIG_FIELD_TYPE` */
  object(name: string): JsonObject {
    const value = this.values.get(name);
    if (isObject(value)) return value;
    throw this.mismatch(name, "an object");
  }

  /** A reader of a nested object. @throws {PlanError} `E_CONFIG_FIELD_TYPE` */
  nested(name: string): FieldReader {
    return new FieldReader(`${this.where}.${name}`, this.object(name));
  }

  /** An error about what one or several fields hold. */
  problem(problem: string, hint?: string): PlanError {
    return new PlanError(
      "E_CONFIG_CONSTRAINT",
      `${this.where}: ${problem}`,
      hint === undefined ? {} : { hint },
    );
  }

  private mismatch(name: string, expected: string): PlanError {
    const found = spell(this.values.get(name));
    return new PlanError(
      "E_CONFIG_FIELD_TYPE",
      `${this.where}.${name}: expected ${expected}, found ${found}`,
    );
  }
}
