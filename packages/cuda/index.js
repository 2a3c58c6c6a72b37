import { fileURLToPath } from "node:url";

export const libraryPath = fileURLToPath(new URL("lib/libmlc_convert_cuda.so", import.meta.url));
