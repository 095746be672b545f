// Tells what the schemas of the Gateway API find wrong with manifests: JSON on stdin, one sentence a line on stdout.
import { Gateway } from "@kubernetes-models/gateway-api/gateway.networking.k8s.io/v1/Gateway";
import { HTTPRoute } from "@kubernetes-models/gateway-api/gateway.networking.k8s.io/v1/HTTPRoute";

const kinds = { Gateway, HTTPRoute };
let text = "";
for await (const chunk of process.stdin) text += chunk;
for (const manifest of JSON.parse(text)) {
  const { name } = manifest.metadata;
  if (manifest.apiVersion !== kinds[manifest.kind]?.apiVersion) {
    console.log(`${name}: no ${manifest.kind} of ${manifest.apiVersion} is known`);
    continue;
  }
  try {
    new kinds[manifest.kind](manifest).validate();
  } catch (error) {
    console.log(`${name}: ${error.message}`);
  }
}
