// require("mlc-convert"): the package is ES modules, which require() loads from Node 20.19 and 22.12 on.
try {
  module.exports = require("./dist/index.js");
} catch (error) {
  if (error.code !== "ERR_REQUIRE_ESM") throw error;
  throw new Error(
    `require("mlc-convert") needs Node 20.19, 22.12 or later, found ${process.version}; await import("mlc-convert") works everywhere`,
    { cause: error },
  );
}
