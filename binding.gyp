{
  "target_defaults": {
    "cflags!": ["-fno-omit-frame-pointer"],
    "cflags": ["-O3", "-Wall", "-Wextra", "-fvisibility=hidden", "-ffp-contract=off"],
    "cflags_cc": ["-std=c++17", "-fno-exceptions", "-fno-rtti"],
    "cflags_cc!": ["-std=gnu++17", "-std=gnu++20"],
    "ldflags": ["-Wl,--exclude-libs,ALL"],
    "xcode_settings": {
      "CLANG_CXX_LANGUAGE_STANDARD": "c++17",
      "GCC_ENABLE_CPP_EXCEPTIONS": "NO",
      "GCC_ENABLE_CPP_RTTI": "NO",
      "GCC_OPTIMIZATION_LEVEL": "3",
      "GCC_SYMBOLS_PRIVATE_EXTERN": "YES",
      "MACOSX_DEPLOYMENT_TARGET": "11.0",
      "OTHER_CFLAGS": ["-ffp-contract=off"]
    },
    "msvs_settings": {
      "VCCLCompilerTool": {
        "AdditionalOptions": ["/std:c++17", "/fp:precise", "/permissive-"],
        "WholeProgramOptimization": "false"
      }
    }
  },
  "targets": [
    {
      "target_name": "mlc_reference",
      "type": "static_library",
      "sources": ["<!@(node scripts/gyp-sources.cjs isa.reference.files <(target_arch))"]
    },
    {
      "target_name": "mlc_convert",
      "sources": [
        "<!@(node scripts/gyp-sources.cjs kernels)",
        "<!@(node scripts/gyp-sources.cjs engine)",
        "<!@(node scripts/gyp-sources.cjs binding)"
      ],
      "include_dirs": ["<!@(node -p \"require('node-addon-api').include_dir\")"],
      "defines": ["NAPI_VERSION=9", "NAPI_DISABLE_CPP_EXCEPTIONS", "NODE_API_SWALLOW_UNTHROWABLE_EXCEPTIONS"],
      "dependencies": ["mlc_reference"],
      "conditions": [
        ["target_arch=='x64'", { "dependencies": ["mlc_avx2", "mlc_avx512"] }],
        ["target_arch=='arm64'", { "dependencies": ["mlc_neon"] }]
      ]
    }
  ],
  "conditions": [
    [
      "target_arch=='x64'",
      {
        "targets": [
          {
            "target_name": "mlc_avx2",
            "type": "static_library",
            "sources": ["<!@(node scripts/gyp-sources.cjs isa.avx2.files x64)"],
            "cflags": ["<!@(node scripts/gyp-sources.cjs isa.avx2.flags x64)"],
            "xcode_settings": { "OTHER_CFLAGS": ["<!@(node scripts/gyp-sources.cjs isa.avx2.flags x64)"] },
            "msvs_settings": { "VCCLCompilerTool": { "AdditionalOptions": ["/arch:AVX2"] } }
          },
          {
            "target_name": "mlc_avx512",
            "type": "static_library",
            "sources": ["<!@(node scripts/gyp-sources.cjs isa.avx512.files x64)"],
            "cflags": ["<!@(node scripts/gyp-sources.cjs isa.avx512.flags x64)"],
            "xcode_settings": { "OTHER_CFLAGS": ["<!@(node scripts/gyp-sources.cjs isa.avx512.flags x64)"] },
            "msvs_settings": { "VCCLCompilerTool": { "AdditionalOptions": ["/arch:AVX512"] } }
          }
        ]
      }
    ],
    [
      "target_arch=='arm64'",
      {
        "targets": [
          {
            "target_name": "mlc_neon",
            "type": "static_library",
            "sources": ["<!@(node scripts/gyp-sources.cjs isa.neon.files arm64)"]
          }
        ]
      }
    ]
  ]
}
