import { readFile } from "node:fs/promises";
import path from "node:path";
import { UsageError } from "../core/errors.ts";
import { hfHome, isSwitchedOn, OFFICIAL_ENDPOINT, type Surroundings } from "./environment.ts";

/**
 * The token to send to the endpoint, or nothing (acquisition.md §7). Stored tokens go to the official
 * endpoint only; an explicit one goes where it is told to.
 * @param explicit a token, or `false` to send none whatever is stored
 * @throws {UsageError} E_TOKEN for a token that no header can carry
 */
export async function findToken(
  around: Surroundings,
  endpoint: string,
  explicit: string | false | undefined,
): Promise<string | undefined> {
  if (explicit === false) return undefined;
  if (explicit !== undefined) return checked(explicit.trim(), "the token that was given");
  const { env } = around;
  if (endpoint !== OFFICIAL_ENDPOINT || isSwitchedOn(env.HF_HUB_DISABLE_IMPLICIT_TOKEN)) return undefined;
  const variable = env.HF_TOKEN?.trim() || env.HUGGING_FACE_HUB_TOKEN?.trim();
  if (variable) return checked(variable, "the token in the environment");
  const file = env.HF_TOKEN_PATH || path.join(hfHome(around), "token");
  const text = await readFile(file, "utf8").catch(() => "");
  return text.trim() === "" ? undefined : checked(text.trim(), `the token in ${file}`);
}

function checked(token: string, where: string): string {
  if (/^[\x21-\x7e]+$/.test(token)) return token;
  throw new UsageError("E_TOKEN", `${where} holds characters that no token has`, {
    hint: "Log in again or copy the token afresh.",
  });
}
