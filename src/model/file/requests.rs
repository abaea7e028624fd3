//! Requests of a model file: method, path, query, headers and body.

use super::*;

impl File<'_> {
    pub(super) fn request(
        &mut self,
        key: &Key,
        fields: &Fields<'_>,
        lets: &[(Arc<str>, Expression)],
        env: &Environment,
        picks: &[Pick],
        args: &[Argument],
    ) -> Option<Request> {
        let Some(node) = fields.get("request") else {
            if fields.lacks("request") {
                self.reader.mistake(
                    key.span.clone(),
                    format!("the rule `{}` sends nothing", key.name),
                    "say `request: METHOD /path`".to_owned(),
                );
            }
            return None;
        };
        // A name that stands for part of the answer cannot be sent.
        let mut env = env.clone();
        for (name, expression) in lets {
            if expression.uses.answer {
                env.names.remove(name.as_ref());
            }
        }
        let names: Vec<&str> = picks
            .iter()
            .map(|p| p.name.as_ref())
            .chain(args.iter().map(|a| a.name.as_ref()))
            .collect();
        let (method, path, parts) = self.target(node, &env, &names, picks.len())?;
        self.rest_of_request(fields, &env, method, path, parts)
    }

    pub(super) fn rest_of_request(
        &mut self,
        fields: &Fields<'_>,
        env: &Environment,
        method: String,
        path: String,
        parts: Vec<PathPart>,
    ) -> Option<Request> {
        let mut map = |key: &str| {
            fields
                .get(key)
                .map(|n| self.reader.template_map(n, &format!("`{key}`"), env))
        };
        let query = map("query").unwrap_or(Some(Vec::new()));
        let headers = map("headers").unwrap_or(Some(Vec::new()));
        let form = map("form");
        let multipart = map("multipart");
        let json = fields.get("json").map(|n| self.reader.template(n, env));
        let text = fields.get("text").map(|n| self.reader.template(n, env));
        let given = ["json", "text", "form", "multipart"]
            .iter()
            .filter_map(|k| fields.entry(k))
            .collect::<Vec<_>>();
        if given.len() > 1 {
            self.reader.mistake(
                given[1].0.span.clone(),
                format!("the body is given already, as `{}`", given[0].0.name),
                "a request has one body".to_owned(),
            );
        }
        let body = if let Some(json) = json {
            Body::Json(json?)
        } else if let Some(text) = text {
            Body::Text(text?)
        } else if let Some(form) = form {
            Body::Form(form?)
        } else if let Some(multipart) = multipart {
            Body::Multipart(multipart?)
        } else {
            Body::Empty
        };
        Some(Request {
            method,
            path,
            parts,
            query: query?,
            headers: headers?,
            body,
        })
    }

    /// `METHOD /path/{x}`
    pub(super) fn target(
        &mut self,
        node: &Node,
        env: &Environment,
        names: &[&str],
        picks: usize,
    ) -> Option<(String, String, Vec<PathPart>)> {
        let text = self.reader.string(node, "a request")?;
        let start = self.reader.start_of(node, &text);
        let (method, path) = match text.split_once(' ') {
            Some((method, path)) => (method.to_owned(), path.trim().to_owned()),
            None => {
                self.reader.mistake(
                    node.span.clone(),
                    "a request is a method and a path",
                    "write `METHOD /path`".to_owned(),
                );
                return None;
            }
        };
        if !METHODS.contains(&method.as_str()) {
            let help = match nearest(&method.to_uppercase(), METHODS.iter().copied()) {
                Some(near) => format!("did you mean `{near}`?"),
                None => format!("the methods are {}", METHODS.join(", ")),
            };
            self.reader.mistake(
                start..start + method.len(),
                format!("unknown method `{method}`"),
                help,
            );
        }
        if !path.starts_with('/') {
            self.reader.mistake(
                node.span.clone(),
                "a path begins with `/`",
                "the address of the server is given with --url or in gainsay.toml".to_owned(),
            );
            return None;
        }
        let offset = start + text.len() - path.len();
        let mut parts = Vec::new();
        let mut rest = 0;
        let mut sound = true;
        while let Some(open) = path[rest..].find('{').map(|i| rest + i) {
            let template = path[..open].ends_with('$');
            let literal_end = open - usize::from(template);
            if literal_end > rest {
                parts.push(PathPart::Literal(path[rest..literal_end].to_owned()));
            }
            let Some(close) = path[open..].find('}').map(|i| open + i) else {
                self.reader.mistake(
                    offset + open..offset + open + 1,
                    "this `{` is never closed",
                    "close it with `}`".to_owned(),
                );
                return None;
            };
            let inner = path[open + 1..close].trim();
            let span = offset + open + 1..offset + close;
            match names.iter().position(|n| *n == inner) {
                Some(index) if !template && index < picks => parts.push(PathPart::Pick(index)),
                Some(index) if !template => parts.push(PathPart::Argument(index - picks)),
                _ if template || inner.contains('.') || env.names.contains_key(inner) => {
                    let text = format!("${{{inner}}}");
                    match self.reader.path_part(&text, offset + literal_end, env) {
                        Some(template) => parts.push(PathPart::Template(template)),
                        None => sound = false,
                    }
                }
                _ => {
                    let help = match nearest(inner, names.iter().copied()) {
                        Some(near) => format!("did you mean `{{{near}}}`?"),
                        None => "name a pick or an argument of the rule".to_owned(),
                    };
                    self.reader.mistake(
                        span,
                        format!("`{{{inner}}}` is neither picked nor an argument"),
                        help,
                    );
                    sound = false;
                }
            }
            rest = close + 1;
        }
        if rest < path.len() {
            parts.push(PathPart::Literal(path[rest..].to_owned()));
        }
        sound.then_some((method, path, parts))
    }
}
