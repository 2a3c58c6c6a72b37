/** Absolute path of the shared library that mlc-convert opens when it is asked for a GPU. */
export declare const libraryPath: string;
