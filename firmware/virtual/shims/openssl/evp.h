// The part of OpenSSL's interface that ESPHome's `sha256` and `md5` use on the host: SHA-256 by libsodium, MD5 by RFC 1321.
#pragma once
#include <array>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <sodium/crypto_hash_sha256.h>

namespace openssl_shim {

class Md5 {
 public:
  void update(const uint8_t *data, size_t length) {
    for (size_t i = 0; i < length; i++) {
      this->block_[this->bytes_++ % sizeof this->block_] = data[i];
      if (this->bytes_ % sizeof this->block_ == 0)
        this->mix_();
    }
  }
  void finish(uint8_t digest[16]) {
    // Section 3.1 and 3.2: a one bit, zeros, and the message's length in bits in the last eight bytes.
    const uint64_t bits = this->bytes_ * 8;
    const uint8_t one = 0x80, zero = 0;
    this->update(&one, 1);
    while (this->bytes_ % sizeof this->block_ != sizeof this->block_ - sizeof bits)
      this->update(&zero, 1);
    uint8_t length[sizeof bits];
    store_(length, bits, sizeof bits);
    this->update(length, sizeof length);
    for (int i = 0; i < 4; i++)
      store_(digest + 4 * i, this->state_[i], 4);
  }

 private:
  static void store_(uint8_t *out, uint64_t value, int bytes) {
    for (int i = 0; i < bytes; i++)
      out[i] = static_cast<uint8_t>(value >> (8 * i));
  }
  // Section 3.4: T[i], the first 32 bits of the fraction of |sin(i + 1)|.
  static const std::array<uint32_t, 64> &table_() {
    static const std::array<uint32_t, 64> table = [] {
      std::array<uint32_t, 64> made{};
      for (size_t i = 0; i < made.size(); i++)
        made[i] = static_cast<uint32_t>(std::floor(std::fabs(std::sin(static_cast<double>(i + 1))) * 4294967296.0));
      return made;
    }();
    return table;
  }
  void mix_() {
    static const int SHIFTS[4][4] = {{7, 12, 17, 22}, {5, 9, 14, 20}, {4, 11, 16, 23}, {6, 10, 15, 21}};
    uint32_t words[16];
    for (int i = 0; i < 16; i++)
      words[i] = static_cast<uint32_t>(this->block_[4 * i]) | static_cast<uint32_t>(this->block_[4 * i + 1]) << 8 |
                 static_cast<uint32_t>(this->block_[4 * i + 2]) << 16 | static_cast<uint32_t>(this->block_[4 * i + 3]) << 24;
    uint32_t a = this->state_[0], b = this->state_[1], c = this->state_[2], d = this->state_[3];
    for (int i = 0; i < 64; i++) {
      uint32_t f;
      int word;
      switch (i / 16) {
        case 0:
          f = (b & c) | (~b & d);
          word = i;
          break;
        case 1:
          f = (b & d) | (c & ~d);
          word = (5 * i + 1) % 16;
          break;
        case 2:
          f = b ^ c ^ d;
          word = (3 * i + 5) % 16;
          break;
        default:
          f = c ^ (b | ~d);
          word = (7 * i) % 16;
      }
      const uint32_t sum = a + f + table_()[i] + words[word];
      const int shift = SHIFTS[i / 16][i % 4];
      a = d;
      d = c;
      c = b;
      b += sum << shift | sum >> (32 - shift);
    }
    this->state_[0] += a;
    this->state_[1] += b;
    this->state_[2] += c;
    this->state_[3] += d;
  }

  uint32_t state_[4] = {0x67452301, 0xefcdab89, 0x98badcfe, 0x10325476};
  uint64_t bytes_{0};
  uint8_t block_[64];
};

enum class Kind { MD5, SHA256 };

}  // namespace openssl_shim

using EVP_MD = openssl_shim::Kind;
using ENGINE = void;
struct EVP_MD_CTX {
  EVP_MD kind;
  openssl_shim::Md5 md5;
  crypto_hash_sha256_state sha256;
};

inline const EVP_MD *EVP_md5() {
  static const EVP_MD kind = EVP_MD::MD5;
  return &kind;
}
inline const EVP_MD *EVP_sha256() {
  static const EVP_MD kind = EVP_MD::SHA256;
  return &kind;
}
inline EVP_MD_CTX *EVP_MD_CTX_new() { return new EVP_MD_CTX(); }
inline void EVP_MD_CTX_free(EVP_MD_CTX *context) { delete context; }
/// These return 1, as OpenSSL's do when they succeed.
inline int EVP_DigestInit_ex(EVP_MD_CTX *context, const EVP_MD *kind, ENGINE *) {
  context->kind = *kind;
  context->md5 = openssl_shim::Md5();
  crypto_hash_sha256_init(&context->sha256);
  return 1;
}
inline int EVP_DigestUpdate(EVP_MD_CTX *context, const void *data, size_t length) {
  if (context->kind == EVP_MD::MD5) {
    context->md5.update(static_cast<const uint8_t *>(data), length);
  } else {
    crypto_hash_sha256_update(&context->sha256, static_cast<const uint8_t *>(data), length);
  }
  return 1;
}
inline int EVP_DigestFinal_ex(EVP_MD_CTX *context, uint8_t *digest, unsigned int *length) {
  if (context->kind == EVP_MD::MD5) {
    context->md5.finish(digest);
    *length = 16;
  } else {
    crypto_hash_sha256_final(&context->sha256, digest);
    *length = 32;
  }
  return 1;
}
