import { createRequire } from "node:module";
import { fileURLToPath } from "node:url";

/** The installed package's own folder, two up from this module: in src/core/ as in the packed dist/chunks/. */
export const PACKAGE_ROOT: string = fileURLToPath(new URL("../..", import.meta.url));

const { version } = createRequire(import.meta.url)("../../package.json") as { readonly version: string };

/** Version of this package. */
export const VERSION: string = version;
