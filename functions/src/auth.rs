//! Who calls: by API key, by a token's scopes, or by what API Gateway's IAM authorizer let through.
//!
//! Signatures and tokens are checked by API Gateway before a function runs; here only its verdict is read, from the
//! request context that the Lambda runtime hands over and no caller can write. Without such a context, `jwt` and
//! `iam` admit nobody. Which role opens which door is said in [`crate::route`].

use axum::http::{Extensions, HeaderMap, StatusCode, header};
use lambda_http::aws_lambda_events::apigw::ApiGatewayRequestAuthorizer;
use lambda_http::request::RequestContext;

use crate::keys::{Keys, Role};
use crate::problem::Problem;
use crate::route::Access;

/// How callers are known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AuthMode {
    /// By `x-api-key` or a bearer key, checked here against hashes.
    ApiKey,
    /// By the scopes of a token that API Gateway's JWT authorizer checked.
    Jwt,
    /// By AWS identity: API Gateway checked signature and `execute-api` policy of this very route.
    Iam,
}

/// A caller who was admitted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Caller {
    /// Keeps the callers' idempotency keys apart: role and, where known, the principal.
    pub name: String,
}

/// Checks callers.
#[derive(Clone, Debug)]
pub struct Authenticator {
    mode: AuthMode,
    keys: Keys,
}

impl Authenticator {
    /// Checks callers as `mode` says, against `keys` where it is [`AuthMode::ApiKey`].
    #[must_use]
    pub const fn new(mode: AuthMode, keys: Keys) -> Self {
        Self { mode, keys }
    }

    /// How callers are known.
    #[must_use]
    pub const fn mode(&self) -> AuthMode {
        self.mode
    }

    /// The keys that open doors; none unless callers are known by key.
    #[must_use]
    pub const fn keys(&self) -> &Keys {
        &self.keys
    }

    /// The caller of a request, if `access` admits them: else 401 (unknown) or 403 (known, not admitted).
    pub fn admit(
        &self,
        headers: &HeaderMap,
        extensions: &Extensions,
        access: Access,
    ) -> Result<Caller, Problem> {
        if access == Access::Public {
            return Ok(Caller { name: "public".to_owned() });
        }
        match self.mode {
            AuthMode::ApiKey => {
                let role =
                    presented_key(headers).and_then(|key| self.keys.role_of(key)).ok_or_else(unknown)?;
                admit_role(&[role], access, role.as_str())
            }
            AuthMode::Jwt => {
                let authorizer = authorizer(extensions).ok_or_else(unknown)?;
                let (roles, subject) = token_roles(authorizer).ok_or_else(unknown)?;
                admit_role(&roles, access, &subject)
            }
            AuthMode::Iam => {
                let iam = authorizer(extensions).and_then(|authorizer| authorizer.iam.as_ref());
                let arn = iam.and_then(|iam| iam.user_arn.clone()).ok_or_else(unknown)?;
                Ok(Caller { name: arn })
            }
        }
    }
}

fn admit_role(roles: &[Role], access: Access, name: &str) -> Result<Caller, Problem> {
    if roles.iter().any(|&role| access.admits(role)) {
        return Ok(Caller { name: name.to_owned() });
    }
    let held = roles.iter().map(|role| role.as_str()).collect::<Vec<_>>().join(", ");
    let detail = format!("this endpoint is closed to: {}", if held.is_empty() { "no role" } else { &held });
    Err(Problem::new(StatusCode::FORBIDDEN, "forbidden", detail))
}

fn unknown() -> Problem {
    Problem::new(StatusCode::UNAUTHORIZED, "unauthenticated", "no valid credentials came with the request")
}

fn presented_key(headers: &HeaderMap) -> Option<&str> {
    let bearer = || {
        let value = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
        let (scheme, key) = value.split_once(' ')?;
        scheme.eq_ignore_ascii_case("bearer").then(|| key.trim())
    };
    headers.get("x-api-key").and_then(|value| value.to_str().ok()).or_else(bearer)
}

fn authorizer(extensions: &Extensions) -> Option<&ApiGatewayRequestAuthorizer> {
    match extensions.get::<RequestContext>()? {
        RequestContext::ApiGatewayV2(context) => context.authorizer.as_ref(),
        // The enum is open to gateways that are not compiled in.
        _ => None,
    }
}

/// Roles by scope (`scopes` of the authorizer, and the token's own `scope` or `scp` claim), and the subject.
fn token_roles(authorizer: &ApiGatewayRequestAuthorizer) -> Option<(Vec<Role>, String)> {
    let jwt = authorizer.jwt.as_ref()?;
    let claims = ["scope", "scp"].into_iter().filter_map(|name| jwt.claims.get(name));
    let claimed = claims.flat_map(|claim| claim.split([' ', ',', '[', ']']));
    let scopes = jwt.scopes.iter().flatten().map(String::as_str).chain(claimed);
    let mut roles: Vec<_> = scopes.filter_map(Role::from_name).collect();
    roles.sort_unstable();
    roles.dedup();
    Some((roles, jwt.claims.get("sub").cloned().unwrap_or_default()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use lambda_http::aws_lambda_events::apigw::ApiGatewayV2httpRequestContext;
    use serde_json::json;

    const CRM_ONLY: Access = Access::Roles(&[Role::Crm]);

    fn gateway(authorizer: &serde_json::Value) -> Extensions {
        let context: ApiGatewayV2httpRequestContext = serde_json::from_value(json!({
            "http": {"method": "POST"}, "timeEpoch": 0, "authorizer": authorizer
        }))
        .unwrap();
        let mut extensions = Extensions::new();
        extensions.insert(RequestContext::ApiGatewayV2(context));
        extensions
    }

    fn status(result: Result<Caller, Problem>) -> u16 {
        result.map_or_else(|problem| problem.status.as_u16(), |_| 200)
    }

    #[test]
    fn a_token_opens_what_its_scopes_name() {
        let jwt = Authenticator::new(AuthMode::Jwt, Keys::default());
        let admit = |authorizer| status(jwt.admit(&HeaderMap::new(), &gateway(&authorizer), CRM_ONLY));
        assert_eq!(admit(json!({"jwt": {"claims": {"sub": "u"}, "scopes": ["crm"]}})), 200);
        assert_eq!(admit(json!({"jwt": {"claims": {"scope": "openid crm"}, "scopes": null}})), 200);
        assert_eq!(admit(json!({"jwt": {"claims": {"scp": "[admin]"}}})), 200);
        assert_eq!(admit(json!({"jwt": {"claims": {"scope": "checkout"}}})), 403);
        assert_eq!(admit(json!({"jwt": {"claims": {"scope": "xcrm"}}})), 403);
        assert_eq!(status(jwt.admit(&HeaderMap::new(), &Extensions::new(), CRM_ONLY)), 401);
    }

    #[test]
    fn iam_admits_only_what_the_gateway_signed_for() {
        let iam = Authenticator::new(AuthMode::Iam, Keys::default());
        let arn = json!({"iam": {"userArn": "arn:aws:iam::1:role/crm", "accessKey": "A"}});
        assert_eq!(status(iam.admit(&HeaderMap::new(), &gateway(&arn), CRM_ONLY)), 200);
        assert_eq!(status(iam.admit(&HeaderMap::new(), &gateway(&json!({})), CRM_ONLY)), 401);
        assert_eq!(status(iam.admit(&HeaderMap::new(), &Extensions::new(), CRM_ONLY)), 401);
    }

    #[test]
    fn a_key_is_read_from_either_header() {
        let (keys, shown) = Keys::generate().unwrap();
        let auth = Authenticator::new(AuthMode::ApiKey, keys);
        let crm = &shown.iter().find(|key| key.role == Role::Crm).unwrap().secret;
        for (name, value) in [("x-api-key", crm.clone()), ("authorization", format!("Bearer {crm}"))] {
            let mut headers = HeaderMap::new();
            headers.insert(name, value.parse().unwrap());
            assert_eq!(status(auth.admit(&headers, &Extensions::new(), CRM_ONLY)), 200);
            let prices = Access::Roles(&[Role::Checkout]);
            assert_eq!(status(auth.admit(&headers, &Extensions::new(), prices)), 403);
        }
    }
}
