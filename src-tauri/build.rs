//! Gives the executable its icon and version on Windows; elsewhere the packages carry them.

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-changed=icons/icon.ico");
    icon();
}

#[cfg(windows)]
fn icon() {
    let mut resource = winresource::WindowsResource::new();
    resource.set_icon("icons/icon.ico");
    if let Err(error) = resource.compile() {
        println!("cargo::error=icons/icon.ico cannot be linked into the program: {error}");
    }
}

#[cfg(not(windows))]
fn icon() {}
