//! Notifications of the desktop, where it has a service for them that nothing must be installed for:
//! on Linux over D-Bus. Windows and macOS show them only for programs that an installer registered
//! with the system; there the window asks for attention in the task bar alone.

/// Whether this system can be asked at all.
pub(crate) const CAN_SHOW: bool = cfg!(target_os = "linux");

/// Shows a notification without a sound. May wait for the service; where there is none, nothing
/// happens.
#[cfg(target_os = "linux")]
pub(super) fn show(title: &str, text: &str) {
    use std::collections::HashMap;

    use zbus::zvariant::Value;

    const SERVICE: &str = "org.freedesktop.Notifications";
    let hints = HashMap::from([
        ("suppress-sound", Value::from(true)),
        ("desktop-entry", Value::from("fluoroscope")),
    ]);
    let text = without_markup(text);
    let no_actions: [&str; 0] = [];
    // The name of the program, what it replaces, its icon; -1 leaves how long to the desktop.
    let told = (
        "Fluoroscope",
        0_u32,
        "fluoroscope",
        title,
        text.as_str(),
        &no_actions[..],
        hints,
        -1_i32,
    );
    if let Ok(bus) = zbus::blocking::Connection::session() {
        let place = "/org/freedesktop/Notifications";
        bus.call_method(Some(SERVICE), place, Some(SERVICE), "Notify", &told)
            .ok();
    }
}

/// Nothing is shown here.
#[cfg(not(target_os = "linux"))]
pub(super) fn show(_title: &str, _text: &str) {}

/// Services may read the text as markup.
#[cfg(target_os = "linux")]
fn without_markup(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_no_markup() {
        assert_eq!(without_markup("a < b & c"), "a &lt; b &amp; c");
    }
}
