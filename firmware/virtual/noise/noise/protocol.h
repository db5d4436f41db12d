// The part of noise-c's interface that ESPHome and bench_microphone use, over libsodium: the responder of Noise_NNpsk0_25519_ChaChaPoly_SHA256, and its cipher
// alone.
//
// For the virtual board alone. Names and values are noise-c's; the algorithm is the Noise Protocol Framework, revision 34 (sections named
// below).
#pragma once
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <sodium.h>

enum {
  NOISE_ERROR_NONE = 0,
  NOISE_ERROR_NO_MEMORY = 0x4501,
  NOISE_ERROR_UNKNOWN_ID,
  NOISE_ERROR_UNKNOWN_NAME,
  NOISE_ERROR_MAC_FAILURE,
  NOISE_ERROR_NOT_APPLICABLE,
  NOISE_ERROR_SYSTEM,
  NOISE_ERROR_REMOTE_KEY_REQUIRED,
  NOISE_ERROR_LOCAL_KEY_REQUIRED,
  NOISE_ERROR_PSK_REQUIRED,
  NOISE_ERROR_INVALID_LENGTH,
  NOISE_ERROR_INVALID_PARAM,
  NOISE_ERROR_INVALID_STATE,
  NOISE_ERROR_INVALID_NONCE,
  NOISE_ERROR_INVALID_PRIVATE_KEY,
  NOISE_ERROR_INVALID_PUBLIC_KEY,
  NOISE_ERROR_INVALID_FORMAT,
  NOISE_ERROR_INVALID_SIGNATURE,
};
enum { NOISE_ROLE_INITIATOR = 1, NOISE_ROLE_RESPONDER = 2 };
enum { NOISE_ACTION_NONE, NOISE_ACTION_WRITE_MESSAGE, NOISE_ACTION_READ_MESSAGE, NOISE_ACTION_FAILED, NOISE_ACTION_SPLIT };
enum {
  NOISE_PREFIX_STANDARD = 1,
  NOISE_PATTERN_NN = 1,
  NOISE_MODIFIER_PSK0 = 1,
  NOISE_DH_NONE = 0,
  NOISE_DH_CURVE25519 = 1,
  NOISE_CIPHER_CHACHAPOLY = 1,
  NOISE_HASH_SHA256 = 1,
};

struct NoiseProtocolId {
  int prefix_id, pattern_id;
  int modifier_ids[64];
  int dh_id, cipher_id, hash_id, hybrid_id;
  int reserved[4];
};

struct NoiseBuffer {
  uint8_t *data;
  size_t size;
  size_t max_size;
};
#define noise_buffer_init(buffer) ((buffer).data = nullptr, (buffer).size = 0, (buffer).max_size = 0)
#define noise_buffer_set_input(buffer, bytes, length) ((buffer).data = (bytes), (buffer).size = (buffer).max_size = (length))
#define noise_buffer_set_output(buffer, bytes, most) ((buffer).data = (bytes), (buffer).size = 0, (buffer).max_size = (most))
#define noise_buffer_set_inout(buffer, bytes, length, most) ((buffer).data = (bytes), (buffer).size = (length), (buffer).max_size = (most))

/// Defined by ESPHome.
extern "C" void noise_rand_bytes(void *output, size_t length);

namespace noise_stand_in {

constexpr size_t KEY = 32;  // also a hash, a public key, a shared secret
constexpr size_t TAG = crypto_aead_chacha20poly1305_ietf_ABYTES;

// Section 5.1: a key and a counter.
struct Cipher {
  uint8_t key[KEY];
  uint64_t nonce;

  void start(const uint8_t *new_key) {
    std::memcpy(this->key, new_key, KEY);
    this->nonce = 0;
  }
  // Section 12.3: 32 zero bits, then the counter, little-endian.
  void next_nonce(uint8_t out[crypto_aead_chacha20poly1305_ietf_NPUBBYTES]) const {
    std::memset(out, 0, 4);
    for (int i = 0; i < 8; i++)
      out[4 + i] = static_cast<uint8_t>(this->nonce >> (8 * i));
  }
  /// In place; the buffer has room for the tag.
  int encrypt(const uint8_t *associated, size_t associated_length, uint8_t *buffer, size_t length) {
    uint8_t nonce[crypto_aead_chacha20poly1305_ietf_NPUBBYTES];
    this->next_nonce(nonce);
    this->nonce++;
    unsigned long long written;
    return crypto_aead_chacha20poly1305_ietf_encrypt(buffer, &written, buffer, length, associated, associated_length, nullptr, nonce, this->key) == 0
               ? NOISE_ERROR_NONE
               : NOISE_ERROR_SYSTEM;
  }
  /// In place; `length` counts the tag. The counter stays when the tag is wrong.
  int decrypt(const uint8_t *associated, size_t associated_length, uint8_t *buffer, size_t length) {
    if (length < TAG)
      return NOISE_ERROR_INVALID_LENGTH;
    uint8_t nonce[crypto_aead_chacha20poly1305_ietf_NPUBBYTES];
    this->next_nonce(nonce);
    unsigned long long written;
    if (crypto_aead_chacha20poly1305_ietf_decrypt(buffer, &written, nullptr, buffer, length, associated, associated_length, nonce, this->key) != 0)
      return NOISE_ERROR_MAC_FAILURE;
    this->nonce++;
    return NOISE_ERROR_NONE;
  }
};

// Section 5.2: the chaining key, the running hash, and the handshake's cipher.
struct Symmetric {
  uint8_t chaining_key[KEY];
  uint8_t hash[KEY];
  Cipher cipher;

  void start(const char *protocol_name) {
    crypto_hash_sha256(this->hash, reinterpret_cast<const uint8_t *>(protocol_name), std::strlen(protocol_name));
    std::memcpy(this->chaining_key, this->hash, KEY);
  }
  void mix_hash(const uint8_t *data, size_t length) {
    crypto_hash_sha256_state state;
    crypto_hash_sha256_init(&state);
    crypto_hash_sha256_update(&state, this->hash, KEY);
    if (length > 0)
      crypto_hash_sha256_update(&state, data, length);
    crypto_hash_sha256_final(&state, this->hash);
  }
  /// Section 4.3, HKDF with two or three outputs.
  void derive(const uint8_t *material, size_t length, uint8_t *first, uint8_t *second, uint8_t *third) const {
    uint8_t temporary[KEY];
    crypto_auth_hmacsha256_state state;
    crypto_auth_hmacsha256_init(&state, this->chaining_key, KEY);
    if (length > 0)
      crypto_auth_hmacsha256_update(&state, material, length);
    crypto_auth_hmacsha256_final(&state, temporary);
    uint8_t *outputs[3] = {first, second, third};
    for (uint8_t i = 0; i < 3 && outputs[i] != nullptr; i++) {
      const uint8_t counter = i + 1;
      crypto_auth_hmacsha256_init(&state, temporary, KEY);
      if (i > 0)
        crypto_auth_hmacsha256_update(&state, outputs[i - 1], KEY);
      crypto_auth_hmacsha256_update(&state, &counter, 1);
      crypto_auth_hmacsha256_final(&state, outputs[i]);
    }
    sodium_memzero(temporary, KEY);
  }
  void mix_key(const uint8_t *material) {
    uint8_t chaining[KEY], key[KEY];
    this->derive(material, KEY, chaining, key, nullptr);
    std::memcpy(this->chaining_key, chaining, KEY);
    this->cipher.start(key);
  }
  void mix_key_and_hash(const uint8_t *material) {
    uint8_t chaining[KEY], hash[KEY], key[KEY];
    this->derive(material, KEY, chaining, hash, key);
    std::memcpy(this->chaining_key, chaining, KEY);
    this->mix_hash(hash, KEY);
    this->cipher.start(key);
  }
};

}  // namespace noise_stand_in

using NoiseCipherState = noise_stand_in::Cipher;
struct NoiseHandshakeState_s {  // ESPHome declares it ahead by this name
  noise_stand_in::Symmetric symmetric;
  uint8_t psk[noise_stand_in::KEY], private_key[noise_stand_in::KEY], public_key[noise_stand_in::KEY], remote_key[noise_stand_in::KEY];
  int action;
  bool has_psk, has_key;
};
using NoiseHandshakeState = NoiseHandshakeState_s;

inline int noise_handshakestate_new_by_id(NoiseHandshakeState **state, const NoiseProtocolId *, int role) {
  if (role != NOISE_ROLE_RESPONDER)
    return NOISE_ERROR_NOT_APPLICABLE;
  if (sodium_init() < 0)
    return NOISE_ERROR_SYSTEM;
  *state = static_cast<NoiseHandshakeState *>(std::calloc(1, sizeof(NoiseHandshakeState)));
  if (*state == nullptr)
    return NOISE_ERROR_NO_MEMORY;
  (*state)->symmetric.start("Noise_NNpsk0_25519_ChaChaPoly_SHA256");
  (*state)->action = NOISE_ACTION_NONE;
  return NOISE_ERROR_NONE;
}

inline void noise_handshakestate_free(NoiseHandshakeState *state) {
  if (state != nullptr) {
    sodium_memzero(state, sizeof *state);
    std::free(state);
  }
}

inline int noise_handshakestate_set_pre_shared_key(NoiseHandshakeState *state, const uint8_t *key, size_t length) {
  if (length != noise_stand_in::KEY)
    return NOISE_ERROR_INVALID_LENGTH;
  std::memcpy(state->psk, key, length);
  state->has_psk = true;
  return NOISE_ERROR_NONE;
}

inline int noise_handshakestate_set_prologue(NoiseHandshakeState *state, const void *prologue, size_t length) {
  state->symmetric.mix_hash(static_cast<const uint8_t *>(prologue), length);
  return NOISE_ERROR_NONE;
}

inline int noise_handshakestate_set_local_ephemeral(NoiseHandshakeState *state, const uint8_t *private_key, size_t private_length, const uint8_t *public_key,
                                                    size_t public_length) {
  if (private_length != noise_stand_in::KEY || public_length != noise_stand_in::KEY)
    return NOISE_ERROR_INVALID_LENGTH;
  std::memcpy(state->private_key, private_key, private_length);
  std::memcpy(state->public_key, public_key, public_length);
  state->has_key = true;
  return NOISE_ERROR_NONE;
}

inline int noise_handshakestate_start(NoiseHandshakeState *state) {
  if (!state->has_psk)
    return NOISE_ERROR_PSK_REQUIRED;
  state->action = NOISE_ACTION_READ_MESSAGE;
  return NOISE_ERROR_NONE;
}

inline int noise_handshakestate_get_action(const NoiseHandshakeState *state) { return state->action; }

/// -> psk, e, and an encrypted payload (sections 7.5 and 9).
inline int noise_handshakestate_read_message(NoiseHandshakeState *state, NoiseBuffer *message, NoiseBuffer *) {
  using namespace noise_stand_in;
  if (state == nullptr || state->action != NOISE_ACTION_READ_MESSAGE)
    return state == nullptr ? NOISE_ERROR_INVALID_PARAM : NOISE_ERROR_INVALID_STATE;
  state->action = NOISE_ACTION_FAILED;
  if (message->size < KEY + TAG)
    return NOISE_ERROR_INVALID_LENGTH;
  auto &symmetric = state->symmetric;
  symmetric.mix_key_and_hash(state->psk);
  std::memcpy(state->remote_key, message->data, KEY);
  symmetric.mix_hash(state->remote_key, KEY);
  symmetric.mix_key(state->remote_key);  // in psk handshakes the ephemeral keys are mixed in too
  uint8_t *payload = message->data + KEY;
  const size_t payload_length = message->size - KEY;
  uint8_t associated[KEY];
  std::memcpy(associated, symmetric.hash, KEY);
  symmetric.mix_hash(payload, payload_length);
  if (const int error = symmetric.cipher.decrypt(associated, KEY, payload, payload_length))
    return error;
  state->action = NOISE_ACTION_WRITE_MESSAGE;
  return NOISE_ERROR_NONE;
}

/// <- e, ee, and an empty encrypted payload.
inline int noise_handshakestate_write_message(NoiseHandshakeState *state, NoiseBuffer *message, const NoiseBuffer *) {
  using namespace noise_stand_in;
  if (state == nullptr || state->action != NOISE_ACTION_WRITE_MESSAGE)
    return state == nullptr ? NOISE_ERROR_INVALID_PARAM : NOISE_ERROR_INVALID_STATE;
  state->action = NOISE_ACTION_FAILED;
  if (message->max_size < KEY + TAG)
    return NOISE_ERROR_INVALID_LENGTH;
  if (!state->has_key) {
    noise_rand_bytes(state->private_key, KEY);
    crypto_scalarmult_curve25519_base(state->public_key, state->private_key);
  }
  auto &symmetric = state->symmetric;
  std::memcpy(message->data, state->public_key, KEY);
  symmetric.mix_hash(state->public_key, KEY);
  symmetric.mix_key(state->public_key);
  uint8_t shared[KEY];
  if (crypto_scalarmult_curve25519(shared, state->private_key, state->remote_key) != 0)
    return NOISE_ERROR_INVALID_PUBLIC_KEY;
  symmetric.mix_key(shared);
  sodium_memzero(shared, KEY);
  if (const int error = symmetric.cipher.encrypt(symmetric.hash, KEY, message->data + KEY, 0))
    return error;
  symmetric.mix_hash(message->data + KEY, TAG);
  message->size = KEY + TAG;
  state->action = NOISE_ACTION_SPLIT;
  return NOISE_ERROR_NONE;
}

/// Section 5.2, Split(): the first key is the initiator's for sending.
inline int noise_handshakestate_split(NoiseHandshakeState *state, NoiseCipherState **send, NoiseCipherState **receive) {
  if (state == nullptr || state->action != NOISE_ACTION_SPLIT)
    return NOISE_ERROR_INVALID_STATE;
  auto *first = static_cast<NoiseCipherState *>(std::calloc(1, sizeof(NoiseCipherState)));
  auto *second = static_cast<NoiseCipherState *>(std::calloc(1, sizeof(NoiseCipherState)));
  if (first == nullptr || second == nullptr) {
    std::free(first);
    std::free(second);
    return NOISE_ERROR_NO_MEMORY;
  }
  state->symmetric.derive(nullptr, 0, first->key, second->key, nullptr);
  *receive = first;
  *send = second;
  state->action = NOISE_ACTION_NONE;
  return NOISE_ERROR_NONE;
}

inline int noise_cipherstate_new_by_id(NoiseCipherState **state, int id) {
  if (id != NOISE_CIPHER_CHACHAPOLY)
    return NOISE_ERROR_UNKNOWN_ID;
  *state = static_cast<NoiseCipherState *>(std::calloc(1, sizeof(NoiseCipherState)));
  return *state == nullptr ? NOISE_ERROR_NO_MEMORY : NOISE_ERROR_NONE;
}

inline int noise_cipherstate_init_key(NoiseCipherState *state, const uint8_t *key, size_t length) {
  if (length != noise_stand_in::KEY)
    return NOISE_ERROR_INVALID_LENGTH;
  state->start(key);
  return NOISE_ERROR_NONE;
}

inline void noise_cipherstate_free(NoiseCipherState *state) {
  if (state != nullptr) {
    sodium_memzero(state, sizeof *state);
    std::free(state);
  }
}

inline size_t noise_cipherstate_get_mac_length(const NoiseCipherState *) { return noise_stand_in::TAG; }

inline int noise_cipherstate_encrypt(NoiseCipherState *state, NoiseBuffer *buffer) {
  if (buffer->size + noise_stand_in::TAG > buffer->max_size)
    return NOISE_ERROR_INVALID_LENGTH;
  const int error = state->encrypt(nullptr, 0, buffer->data, buffer->size);
  if (error == NOISE_ERROR_NONE)
    buffer->size += noise_stand_in::TAG;
  return error;
}

inline int noise_cipherstate_decrypt(NoiseCipherState *state, NoiseBuffer *buffer) {
  const int error = state->decrypt(nullptr, 0, buffer->data, buffer->size);
  if (error == NOISE_ERROR_NONE)
    buffer->size -= noise_stand_in::TAG;
  return error;
}
