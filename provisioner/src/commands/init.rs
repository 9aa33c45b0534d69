//! `rolecall init`: a spec to start from.

use super::print;
use crate::cli::Template;
use crate::error::Error;

/// Prints it.
///
/// # Errors
/// Output that cannot be written.
pub fn init(template: Template) -> Result<u8, Error> {
    print(text(template))?;
    Ok(0)
}

fn text(template: Template) -> &'static str {
    match template {
        Template::App => include_str!("../../templates/app.yaml"),
        Template::Flowdb => include_str!("../../templates/flowdb.yaml"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::ValueEnum;
    use policy::spec::Spec;

    #[test]
    fn every_template_is_a_spec() {
        for template in Template::value_variants() {
            let spec = Spec::parse(text(*template)).expect("it reads");
            let desired = spec.expand().expect("it expands");
            assert!(!desired.here.grants.is_empty());
        }
    }

    /// What is offered in comments must work when the comment signs are taken away.
    #[test]
    fn the_logins_of_app_can_be_uncommented() {
        let text = text(Template::App);
        let logins = ["app_service", "app_migrations", "alice"];
        let with_logins = logins.iter().fold(text.replace("  #   ", "    "), |text, login| {
            text.replace(&format!("  # {login}:"), &format!("  {login}:"))
        });
        let desired = Spec::parse(&with_logins).expect("it reads").expand().expect("it expands");
        for login in logins {
            assert_eq!(desired.roles[login].login, Some(true), "{login}");
        }
        assert_eq!(desired.roles["app_migrations"].config["role"], Some(vec!["app_owner".to_owned()]));
    }

    #[test]
    fn the_service_logins_of_flowdb_can_be_uncommented() {
        let text = text(Template::Flowdb);
        let with_members = text.replace("  # flowmachine_service:", "  flowmachine_service:").replace("  #   ", "    ");
        let desired = Spec::parse(&with_members).expect("it reads").expand().expect("it expands");
        assert_eq!(desired.roles["flowmachine_service"].login, Some(true));
        assert!(desired.roles["flowmachine_service"].password.is_some());
        let as_groups = text.replace("    login: false\n", "").replace("    # login: true", "    login: true");
        let as_groups = as_groups.replace("    # password:", "    password:");
        let desired = Spec::parse(&as_groups).expect("it reads").expand().expect("it expands");
        assert_eq!(desired.roles["flowapi"].login, Some(true));
        assert!(desired.roles["flowapi"].password.is_some());
    }
}
