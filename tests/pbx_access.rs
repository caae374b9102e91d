//! Passgate's own access to the PBX (`[portal.admin]`): what is said about it before and at the
//! start, and what happens when the PBX refuses it.

use std::process::Output;

use passgate::profile::Profile;
use serde_json::Value;

use crate::support::{Gateway, PORTAL_ADMIN, Pbx, Settings, alice};

const PASSWORD: &str = "Lighthouse-42";
const NEW_PIN: &str = "80246";

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// `passgate check --connect` tries the access; a wrong one is named, without its secrets.
#[tokio::test]
async fn check_tries_the_access() {
    let pbx = Pbx::start().await;
    let settings = |more: String| Settings { more, ..Settings::default() };
    let gateway = Gateway::with(&pbx, settings(PORTAL_ADMIN.into())).await;
    let checked = gateway.command(&["check", "--connect"]).await;
    assert!(checked.status.success(), "{checked:?}");
    assert!(said(&checked).contains("access of [portal.admin]: works"), "{checked:?}");

    let wrong = PORTAL_ADMIN.replace("730194", "618830274951");
    let gateway = Gateway::with(&pbx, settings(wrong)).await;
    let checked = gateway.command(&["check", "--connect", "--json"]).await;
    assert_eq!(checked.status.code(), Some(1), "{checked:?}");
    assert!(!said(&checked).contains("618830274951"));
    let report: Value = serde_json::from_slice(&checked.stdout).unwrap();
    let tried = report["connections"].as_array().unwrap().iter();
    let mut access = tried.filter(|tried| tried["name"] == "access of [portal.admin]");
    let error = access.next().unwrap()["error"].as_str().unwrap().to_owned();
    assert!(error.contains("400 Bad Request (invalid_grant)"), "{error}");
}

/// R-A3, R-B4: at the start the log says what will become of PINs; where they cannot be written
/// although users are to declare them, the check warns.
#[tokio::test]
async fn what_becomes_of_pins_is_said_at_the_start() {
    let pbx = Pbx::start().await;
    let admin = Settings { more: PORTAL_ADMIN.into(), ..Settings::default() };
    let log = Gateway::with(&pbx, admin).await.logs("is read from the PBX").await;
    assert!(log.contains("PIN is written with the access of [portal.admin]"), "{log}");
    assert!(log.contains("is read from the PBX"), "{log}");
    let log = Gateway::start(&pbx).await.logs("PINs cannot be read").await;
    assert!(log.contains("PIN is written with the user's own session"), "{log}");
    assert!(log.contains("PINs cannot be read"), "{log}");

    let profile = Profile::builtin("netsapiens").unwrap();
    let profile = profile.split("[[subscriber.write]]").next().unwrap().to_owned();
    let without = Settings { profile: Some(profile), ..Settings::default() };
    let gateway = Gateway::with(&pbx, without).await;
    gateway.logs("voicemail PINs cannot be written").await;
    let log = gateway.logs("rollout.redeclare_pin: PINs cannot").await;
    assert!(log.contains("WARN"), "{log}");
    let checked = gateway.command(&["check"]).await;
    assert!(checked.status.success(), "{checked:?}");
    let warning = "rollout.redeclare_pin: PINs cannot be written to this portal";
    assert!(said(&checked).contains(warning), "{checked:?}");
}

/// An access that the PBX refuses changes nothing for the user but the moment: they try again later.
/// The PBX is not asked again and again, and the log says what to mend, without secrets.
#[tokio::test(flavor = "multi_thread")]
async fn a_refused_access_is_left_alone() {
    let pbx = Pbx::start().await;
    let more = PORTAL_ADMIN.replace("730194", "618830274951");
    let gateway = Gateway::with(&pbx, Settings { more, ..Settings::in_phase("force") }).await;
    let browser = gateway.client();
    let answer = browser.log_in(&alice().login, &alice().pin).await;
    assert_eq!(answer.location(), "/account/set-password");
    let tokens = || {
        let record = pbx.0.record();
        record.iter().filter(|request| request.path == "/ns-api/oauth2/token").count()
    };
    for _ in 0..4 {
        let answer = browser.choose(NEW_PIN, PASSWORD).await;
        assert_eq!(answer.status, 502, "{}", answer.text());
    }
    assert_eq!(tokens(), 1);
    assert_eq!(gateway.account(&alice().login).await["state"], "pin_only");
    assert_eq!(pbx.pin_of(&alice().login), alice().pin);
    let metrics = gateway.metrics().await;
    assert!(metrics.contains("passgate_pin_writebacks_total{result=\"not_asked\"} 4"), "{metrics}");
    let log = gateway.logs("refuses Passgate's own access").await;
    let errors = log.lines().filter(|line| line.contains("refuses Passgate's own access")).count();
    assert_eq!(errors, 1, "{log}");
    for secret in ["618830274951", NEW_PIN, PASSWORD] {
        assert!(!log.contains(secret), "{log}");
    }

    // Mended at the PBX: half a minute later it works, without a restart.
    assert!(pbx.0.set_pin("9001@11111.service", "618830274951"));
    gateway.advance("31s").await;
    assert_eq!(browser.choose(NEW_PIN, PASSWORD).await.location(), "/portal/home");
    assert_eq!((pbx.pin_of(&alice().login), tokens()), (NEW_PIN.to_owned(), 2));
}
