//! Turns `tauri.conf.json` into the bundler's settings.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};
use tauri_bundler::{
    AppCategory, BundleBinary, BundleSettings, DebianSettings, PackageSettings, PackageType,
    RpmSettings, Settings, SettingsBuilder, WindowsSettings,
};
use tauri_utils::config::{BundleResources, Config, parse};
use tauri_utils::platform::Target;

/// Reads `tauri.conf.json` in `folder`.
pub(crate) fn read(folder: &Path) -> Result<Config> {
    let place = || format!("{}", folder.join("tauri.conf.json").display());
    let (value, _) = parse::read_from(Target::current(), folder).with_context(place)?;
    serde_json::from_value(value).with_context(place)
}

/// The program's name as a command, without `.exe`.
pub(crate) fn binary_name(description: &Config) -> Result<&str> {
    description
        .main_binary_name
        .as_deref()
        .context("tauri.conf.json: mainBinaryName is missing")
}

/// The version of the packages.
pub(crate) fn version(description: &Config) -> Result<&str> {
    description
        .version
        .as_deref()
        .context("tauri.conf.json: version is missing")
}

/// Path of the release binary, which must exist.
pub(crate) fn binary(description: &Config, release: &Path) -> Result<PathBuf> {
    let name = binary_name(description)?;
    let path = release.join(format!("{name}{}", std::env::consts::EXE_SUFFIX));
    if !path.is_file() {
        bail!(
            "{}: there is no such program yet, build it with cargo build --release --locked",
            path.display()
        );
    }
    Ok(path)
}

/// The bundler's settings for `packages`, with `notices` among the licences of the program.
pub(crate) fn build(
    description: &Config,
    release: &Path,
    packages: Vec<PackageType>,
    notices: &Path,
) -> Result<Settings> {
    let bundle = &description.bundle;
    let package = PackageSettings {
        product_name: description
            .product_name
            .clone()
            .context("tauri.conf.json: productName is missing")?,
        version: version(description)?.to_owned(),
        description: bundle.short_description.clone().unwrap_or_default(),
        homepage: bundle.homepage.clone(),
        authors: bundle.publisher.clone().map(|publisher| vec![publisher]),
        default_run: None,
    };
    Ok(SettingsBuilder::new()
        .project_out_directory(release)
        .package_types(packages)
        .package_settings(package)
        .bundle_settings(bundle_settings(description, notices)?)
        .binaries(vec![BundleBinary::new(
            binary_name(description)?.to_owned(),
            true,
        )])
        .build()?)
}

fn bundle_settings(description: &Config, notices: &Path) -> Result<BundleSettings> {
    let bundle = &description.bundle;
    let category = match &bundle.category {
        None => None,
        Some(name) => Some(
            name.parse::<AppCategory>()
                .ok()
                .with_context(|| format!("tauri.conf.json: '{name}' is no category"))?,
        ),
    };
    let deb = &bundle.linux.deb;
    let rpm = &bundle.linux.rpm;
    Ok(BundleSettings {
        identifier: Some(description.identifier.clone()),
        publisher: bundle.publisher.clone(),
        homepage: bundle.homepage.clone(),
        icon: Some(bundle.icon.clone()),
        resources_map: Some(resources(bundle.resources.as_ref(), notices)?),
        license: bundle.license.clone(),
        category,
        file_associations: bundle.file_associations.clone(),
        short_description: bundle.short_description.clone(),
        long_description: bundle.long_description.clone(),
        deb: DebianSettings {
            depends: deb.depends.clone(),
            recommends: deb.recommends.clone(),
            section: deb.section.clone(),
            files: deb.files.clone(),
            desktop_template: deb.desktop_template.clone(),
            ..DebianSettings::default()
        },
        rpm: RpmSettings {
            depends: rpm.depends.clone(),
            release: rpm.release.clone(),
            files: rpm.files.clone(),
            desktop_template: rpm.desktop_template.clone(),
            ..RpmSettings::default()
        },
        windows: WindowsSettings {
            webview_install_mode: bundle.windows.webview_install_mode.clone(),
            ..WindowsSettings::default()
        },
        ..BundleSettings::default()
    })
}

/// The resources of `tauri.conf.json`, every one of which must exist, and the notices.
fn resources(
    described: Option<&BundleResources>,
    notices: &Path,
) -> Result<HashMap<String, String>> {
    let mut resources = match described {
        None => HashMap::new(),
        Some(BundleResources::Map(map)) => map.clone(),
        Some(BundleResources::List(_)) => {
            bail!("tauri.conf.json: resources must map each path to its place in the package")
        }
    };
    for path in resources.keys() {
        if !Path::new(path).exists() {
            bail!("tauri.conf.json: resource {path} does not exist");
        }
    }
    let notices = notices
        .to_str()
        .with_context(|| format!("{}: the path is not UTF-8", notices.display()))?;
    resources.insert(
        notices.to_owned(),
        "licences/third-party-notices.txt".to_owned(),
    );
    Ok(resources)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn description() -> Config {
        read(Path::new("..")).unwrap()
    }

    #[test]
    fn the_description_names_only_files_that_exist() {
        let description = description();
        let folder = Path::new("..");
        for icon in &description.bundle.icon {
            assert!(folder.join(icon).is_file(), "{icon}");
        }
        let linux = &description.bundle.linux;
        let files = linux.deb.files.values().chain(linux.rpm.files.values());
        let templates = [&linux.deb.desktop_template, &linux.rpm.desktop_template];
        let mut n = 0;
        for file in files.chain(templates.into_iter().flatten()) {
            assert!(folder.join(file).is_file(), "{}", file.display());
            n += 1;
        }
        assert_eq!(n, 5);
        let Some(BundleResources::Map(resources)) = &description.bundle.resources else {
            panic!("resources must be a map");
        };
        for path in resources.keys() {
            assert!(folder.join(path).exists(), "{path}");
        }
    }

    #[test]
    fn a_projects_file_is_known_to_every_system() {
        let description = description();
        let [association] = &description.bundle.file_associations.as_deref().unwrap() else {
            panic!("one association");
        };
        let extension = &association.ext[0].0;
        let kind = association.mime_type.as_deref().unwrap();
        let types = std::fs::read_to_string("../linux/fluoroscope.xml").unwrap();
        assert!(types.contains(&format!("<mime-type type=\"{kind}\">")));
        assert!(types.contains(&format!("<glob pattern=\"*.{extension}\"/>")));
        let entry = std::fs::read_to_string("../linux/fluoroscope.desktop").unwrap();
        assert!(entry.contains("MimeType={{mime_type}};") && entry.contains("Exec={{exec}} %f\n"));
    }

    #[test]
    fn the_version_is_the_programs() {
        let manifest = std::fs::read_to_string("../../Cargo.toml").unwrap();
        let line = format!("version = \"{}\"", version(&description()).unwrap());
        assert!(manifest.contains(&line), "{line}");
    }

    #[test]
    fn a_missing_program_is_named() {
        let error = binary(&description(), Path::new("/nowhere")).unwrap_err();
        assert!(error.to_string().contains("/nowhere"));
    }
}
