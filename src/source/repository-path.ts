import path from "node:path";
import { SourceError } from "../core/errors.ts";

/**
 * Refuses a path inside a repository that could leave the folder it is joined to.
 * @throws {SourceError} E_REPOSITORY_PATH
 */
export function checkRepositoryPath(name: string, where: string): string {
  const parts = name.split("/");
  const reserved = /^(con|prn|aux|nul|com\d|lpt\d)(\.|$)/i;
  const bad = parts.some((part) => part === "" || part === "." || part === ".." || reserved.test(part));
  if (bad || /[\\:\0-\x1f]/.test(name) || path.posix.isAbsolute(name) || path.win32.isAbsolute(name)) {
    throw new SourceError(
      "E_REPOSITORY_PATH",
      `${where} names the path ${JSON.stringify(name)}, which is not allowed`,
      {
        hint: "Do not trust this repository: its paths try to leave their folder.",
      },
    );
  }
  return name;
}
