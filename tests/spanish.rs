//! The pages, what goes into the portal's pages, and the e-mails in Spanish (R-D7: "English ships,
//! plus Spanish").

use crate::support::{Mailed as World, alice};

const SPANISH: &str = "[pages]\ndefault_locale = \"es\"\n";

/// R-D7: every kind of thing that a user reads is Spanish: our pages and their errors, the message
/// and the links in the portal's login page, the notice, subject and text of a mail, the dates.
#[tokio::test(flavor = "multi_thread")]
async fn everything_that_a_user_reads() {
    let world = World::with(SPANISH).await;
    let client = world.gateway.client();
    for (page, words) in [
        ("/account/login", "<h1>Iniciar sesión</h1>"),
        ("/account/forgot-password", "<h1>¿Olvidó su contraseña del portal?</h1>"),
        ("/account/help", "1 de enero de 2032"),
        ("/account/nowhere", "<h1>Aquí no hay nada</h1>"),
        ("/account/reset?code=wrong", "<h1>Este enlace no es válido</h1>"),
    ] {
        let page = client.get(page).await.text();
        assert!(page.contains("<html lang=\"es\">") && page.contains(words), "{words}: {page}");
    }

    let page = client.get("/account/forgot-password").await;
    let csrf = page.last_form_input("csrf");
    let form = [("csrf", csrf.as_str()), ("login", &alice().login)];
    let told = client.post("/account/forgot-password", &form).await.text();
    assert!(told.contains("Hemos enviado un enlace para crear una nueva contraseña"), "{told}");
    assert!(told.contains("válido durante 1 hora;"), "{told}");
    let mail = world.smtp.mail_to(World::ADDRESS).await;
    assert_eq!(mail.subject(), "Elija su contraseña del portal");
    let text = mail.text.split_whitespace().collect::<Vec<_>>().join(" ");
    for words in ["Hola:", "es válido durante 1 hora: hasta las", " de 2031 (", "No se los diga"] {
        assert!(text.contains(words), "{words}: {text}");
    }
    assert!(mail.html.contains("<html lang=\"es\">"), "{}", mail.html);

    // In the portal's pages, whatever their encoding: ASCII.
    let login_page = client.get("/portal/login").await.text();
    assert!(login_page.contains("&#191;Olvid&#243; su contrase&#241;a?</a>"), "{login_page}");
    let client = client.signed_in(&alice()).await;
    let home = client.get("/portal/home").await.text();
    let said = "su PIN del buz&#243;n de voz dejar&#225; de dar acceso a este portal.";
    assert!(home.contains(said), "{home}");
}
