import { existsSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { KernelError, UsageError } from "../core/errors.ts";
import { PACKAGE_ROOT } from "../core/package-root.ts";
import { type JobDevice, loadAddon } from "./addon.ts";

/** A GPU of this machine and whether it can be used. */
export interface CudaDevice {
  /** As `--device` takes it: `cuda:0`. */
  readonly device: string;
  readonly name: string;
  readonly memoryBytes: number;
  /** Such as `9.0`. */
  readonly computeCapability: string;
  readonly available: boolean;
  /** Why not, when it is not available. */
  readonly reason?: string;
}

/** The GPUs of this machine; none with the reason. */
export interface CudaDevices {
  readonly devices: readonly CudaDevice[];
  readonly reason?: string;
}

/** Where a run computes. */
export interface ChosenDevice {
  /** Absent: on the processor. */
  readonly device?: JobDevice;
  /** What `auto` chose and why, for the user. */
  readonly notice?: string;
}

const PACKAGE = "mlc-convert-cuda";
const VARIABLE = "MLC_CONVERT_CUDA_LIBRARY";
const LIBRARY = "libmlc_convert_cuda.so";
const LOCAL_BUILDS = ["packages/cuda/lib", "build/native"];

/**
 * The CUDA library: what the environment names, else the optional package's, else that of a local build.
 * @throws {KernelError} `E_DEVICE` where there is none
 */
async function findLibrary(): Promise<string> {
  const named = process.env[VARIABLE];
  if (named) {
    if (existsSync(named)) return named;
    throw new KernelError("E_DEVICE", `${VARIABLE} names ${named}, which does not exist`);
  }
  const packaged = await packagedLibrary();
  if (packaged !== undefined && existsSync(packaged)) return packaged;
  for (const folder of LOCAL_BUILDS) {
    const path = join(PACKAGE_ROOT, folder, LIBRARY);
    if (existsSync(path)) return path;
  }
  const { platform, arch } = process;
  const here = platform === "linux" && arch === "x64";
  throw new KernelError("E_DEVICE", here ? `the package ${PACKAGE} is not installed` : unsupported(), {
    hint: here ? `npm install ${PACKAGE}, or convert with --device cpu` : "convert with --device cpu",
  });
}

const unsupported = (): string =>
  `the CUDA library exists for Linux on x64, found ${process.platform}-${process.arch}`;

async function packagedLibrary(): Promise<string | undefined> {
  let entry: string;
  try {
    entry = createRequire(import.meta.url).resolve(PACKAGE);
  } catch {
    return undefined;
  }
  const { libraryPath } = (await import(pathToFileURL(entry).href)) as { readonly libraryPath: string };
  return libraryPath;
}

const reasonOf = (error: unknown): string => (error instanceof Error ? error.message : String(error));

/** The GPUs of this machine, GPU 0 first, or why there are none. Opens the CUDA library. */
export async function listCudaDevices(): Promise<CudaDevices> {
  try {
    return { devices: readDevices(await findLibrary()) };
  } catch (error) {
    return { devices: [], reason: reasonOf(error) };
  }
}

function readDevices(library: string): readonly CudaDevice[] {
  return loadAddon()
    .listCudaDevices(library)
    .map((found, index) => ({ device: `cuda:${index}`, ...found, available: found.reason === undefined }));
}

/**
 * What `--device` asks for: `cpu`, `auto`, `cuda` (GPU 0) or `cuda:N`.
 * @throws {UsageError} `E_OPTION` for anything else
 */
export function parseDevice(text: string): "cpu" | "auto" | { readonly gpu: number } {
  if (text === "cpu" || text === "auto") return text;
  const match = /^cuda(?::(\d{1,4}))?$/.exec(text);
  if (match) return { gpu: Number(match[1] ?? 0) };
  throw new UsageError("E_OPTION", `expected device cpu, auto, cuda or cuda:N, found "${text}"`);
}

/**
 * Finds the device to compute on. `auto` takes the first GPU that can be used, else the processor, and says so.
 * @throws {KernelError} `E_DEVICE` with the reason where a GPU that was asked for cannot be used
 */
export async function chooseDevice(text: string): Promise<ChosenDevice> {
  const asked = parseDevice(text);
  if (asked === "cpu") return {};
  if (asked === "auto") return chooseAutomatically();
  const name = `cuda:${asked.gpu}`;
  try {
    const library = await findLibrary();
    const devices = readDevices(library);
    const found = devices[asked.gpu];
    const missing = `there is no GPU ${asked.gpu}: this machine has ${devices.length}`;
    const reason = found ? found.reason : missing;
    if (reason !== undefined) throw new Error(reason);
    return { device: { name, library, index: asked.gpu, required: true } };
  } catch (error) {
    const hint = (error as { hint?: string }).hint ?? "`mlc-convert doctor` lists what can be used";
    throw new KernelError("E_DEVICE", `${name} cannot be used: ${reasonOf(error)}`, { cause: error, hint });
  }
}

async function chooseAutomatically(): Promise<ChosenDevice> {
  const onProcessor = (reason: string): ChosenDevice => ({
    notice: `converting on the CPU: no GPU can be used: ${reason}`,
  });
  let library: string;
  let devices: readonly CudaDevice[];
  try {
    library = await findLibrary();
    devices = readDevices(library);
  } catch (error) {
    return onProcessor(reasonOf(error));
  }
  const index = devices.findIndex(({ available }) => available);
  const found = devices[index];
  if (!found) return onProcessor(devices[0]?.reason ?? "there is none");
  const device = { name: found.device, library, index, required: false };
  return { device, notice: `converting on ${found.device}, ${found.name}` };
}
