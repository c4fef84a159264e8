//! Tell which build this is, for a bug report.

use std::collections::BTreeMap;

use pyo3::pyfunction;

use crate::signature::Kernel;

/// Version, profile, processor features and kernels.
#[pyfunction]
pub fn build_info() -> BTreeMap<&'static str, String> {
    let profile = if cfg!(debug_assertions) { "debug" } else { "release" };
    BTreeMap::from([
        ("version", env!("CARGO_PKG_VERSION").to_owned()),
        ("profile", profile.to_owned()),
        ("cpu_features", cpu_features().join(" ")),
        ("signature_kernel", Kernel::detected().name().to_owned()),
        ("signature_kernels", Kernel::available().map(Kernel::name).collect::<Vec<_>>().join(" ")),
        ("hash_kernel", format!("blake3 {:?}", blake3::platform::Platform::detect())),
    ])
}

#[cfg(target_arch = "x86_64")]
fn cpu_features() -> Vec<&'static str> {
    let known = [
        ("sse4.1", is_x86_feature_detected!("sse4.1")),
        ("avx2", is_x86_feature_detected!("avx2")),
        ("fma", is_x86_feature_detected!("fma")),
        ("avx512f", is_x86_feature_detected!("avx512f")),
        ("avx512ifma", is_x86_feature_detected!("avx512ifma")),
        ("sha", is_x86_feature_detected!("sha")),
    ];
    known.into_iter().filter(|(_, present)| *present).map(|(name, _)| name).collect()
}

#[cfg(not(target_arch = "x86_64"))]
fn cpu_features() -> Vec<&'static str> {
    Vec::new()
}
