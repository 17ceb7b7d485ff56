// Passkeys in this browser: asks the device to make one or to sign with one, in the JSON that the server
// speaks. It does not know what for.

import { ApiError } from "/console/api.js";

/** Whether this page may use passkeys: a browser ties them to a name, never to a bare address. */
export function passkeysWork() {
  return "PublicKeyCredential" in window && isSecureContext && !/^[\d.]+$|:/.test(location.hostname);
}

/** The answer of a new passkey to the server's options; throws ApiError when the person or the device declines. */
export async function makePasskey(options) {
  const publicKey = {
    ...options,
    challenge: bytes(options.challenge),
    user: { ...options.user, id: bytes(options.user.id) },
    excludeCredentials: options.excludeCredentials.map((one) => ({ ...one, id: bytes(one.id) })),
  };
  const made = await ask(() => navigator.credentials.create({ publicKey }));
  return answer(made, {
    attestationObject: text(made.response.attestationObject),
    transports: made.response.getTransports?.() ?? [],
  });
}

/** The answer of a passkey that the person chooses; throws ApiError when they or the device decline. */
export async function usePasskey(options) {
  const publicKey = { ...options, challenge: bytes(options.challenge), allowCredentials: [] };
  const used = await ask(() => navigator.credentials.get({ publicKey }));
  return answer(used, {
    authenticatorData: text(used.response.authenticatorData),
    signature: text(used.response.signature),
    userHandle: used.response.userHandle ? text(used.response.userHandle) : null,
  });
}

async function ask(run) {
  try {
    return await run();
  } catch (error) {
    const hint = error.name === "NotAllowedError" ? "Try again, or sign in another way." : error.message;
    throw new ApiError({ message: "No passkey was given.", code: "passkey", hint });
  }
}

function answer(credential, response) {
  return {
    id: credential.id,
    rawId: text(credential.rawId),
    type: credential.type,
    response: { clientDataJSON: text(credential.response.clientDataJSON), ...response },
  };
}

function bytes(base64url) {
  const plain = atob(base64url.replaceAll("-", "+").replaceAll("_", "/"));
  return Uint8Array.from(plain, (letter) => letter.charCodeAt(0));
}

function text(buffer) {
  const plain = String.fromCharCode(...new Uint8Array(buffer));
  return btoa(plain).replaceAll("+", "-").replaceAll("/", "_").replaceAll("=", "");
}
