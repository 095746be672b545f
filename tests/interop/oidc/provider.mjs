// A certified OpenID Connect provider; each line of its input is the keys that it signs with from then on.
import { createInterface } from "node:readline";
import { createServer } from "node:http";
import Provider from "oidc-provider";

const { port, callback, jwks } = JSON.parse(process.argv[2]);
const issuer = `http://127.0.0.1:${port}`;

function provider(keys) {
  const made = new Provider(issuer, {
    jwks: { keys },
    cookies: { keys: ["only for tests"] },
    clients: [
      { client_id: "shop", client_secret: "only+for tests", redirect_uris: [callback], post_logout_redirect_uris: [new URL("/bye", callback).href], id_token_signed_response_alg: keys[0].alg },
      { client_id: "till", client_secret: "only+for tests", grant_types: ["client_credentials"], redirect_uris: [], response_types: [], id_token_signed_response_alg: keys[0].alg },
    ],
    claims: { openid: ["sub"], profile: ["name", "groups", "org"] },
    conformIdTokenClaims: false,
    findAccount: (_, sub) => ({ accountId: sub, claims: () => ({ sub, name: `Name of ${sub}`, groups: ["clerk"], org: { id: "acme" } }) }),
    features: {
      devInteractions: { enabled: true },
      clientCredentials: { enabled: true },
      resourceIndicators: {
        enabled: true,
        defaultResource: () => "urn:shop",
        getResourceServerInfo: () => ({ scope: "orders:read orders:write", audience: "urn:shop", accessTokenTTL: 300, accessTokenFormat: "jwt", jwt: { sign: { alg: keys[0].alg } } }),
      },
    },
    ttl: { Session: 600, Grant: 600, Interaction: 600, IdToken: 300, AccessToken: 300, ClientCredentials: 300 },
  });
  made.on("server_error", (_, error) => console.error(error));
  return made.callback();
}

let answer = provider(jwks);
createServer((request, response) => answer(request, response)).listen(port, "127.0.0.1", () => console.log("listens"));
for await (const line of createInterface({ input: process.stdin })) {
  answer = provider(JSON.parse(line));
  console.log("rotated");
}
process.exit(0);
