/* CityHash128 of version 1.0.2 with a seed, as ClickHouse chains it over the files of a part: ClickHouse sends this value after
 * each file that a replica fetches. The CityHash packages of PyPI have a later version or ignore the seed. */
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define BLOCK 2048 /* bytes, DBMS_DEFAULT_HASHING_BLOCK_SIZE of ClickHouse */

static const uint64_t K0 = 0xc3a5c85c97cb3127ULL;
static const uint64_t K1 = 0xb492b66fbe98f273ULL;
static const uint64_t K2 = 0x9ae16a3b2f90404fULL;
static const uint64_t K3 = 0xc949d7c7509e6557ULL;

typedef struct {
    uint64_t low, high;
} pair;

static uint64_t fetch64(const char *s) {
    uint64_t value;
    memcpy(&value, s, 8);
    return value;
}

static uint64_t fetch32(const char *s) {
    uint32_t value;
    memcpy(&value, s, 4);
    return value;
}

static uint64_t rotate(uint64_t value, int bits) {
    return bits == 0 ? value : (value >> bits) | (value << (64 - bits));
}

static uint64_t shift_mix(uint64_t value) {
    return value ^ (value >> 47);
}

static uint64_t hash_16(uint64_t u, uint64_t v) {
    const uint64_t factor = 0x9ddfea08eb382d69ULL;
    uint64_t a = (u ^ v) * factor;
    a ^= a >> 47;
    uint64_t b = (v ^ a) * factor;
    b ^= b >> 47;
    return b * factor;
}

static uint64_t hash_0_to_16(const char *s, size_t length) {
    if (length > 8) {
        uint64_t a = fetch64(s);
        uint64_t b = fetch64(s + length - 8);
        return hash_16(a, rotate(b + length, (int)length)) ^ b;
    }
    if (length >= 4) {
        return hash_16(length + (fetch32(s) << 3), fetch32(s + length - 4));
    }
    if (length > 0) {
        uint8_t first = (uint8_t)s[0], middle = (uint8_t)s[length >> 1], last = (uint8_t)s[length - 1];
        uint32_t y = first + ((uint32_t)middle << 8);
        uint32_t z = (uint32_t)length + ((uint32_t)last << 2);
        return shift_mix((y * K2) ^ (z * K3)) * K2;
    }
    return K2;
}

static pair weak_hash_32(const char *s, uint64_t a, uint64_t b) {
    uint64_t w = fetch64(s), x = fetch64(s + 8), y = fetch64(s + 16), z = fetch64(s + 24);
    a += w;
    b = rotate(b + a + z, 21);
    uint64_t c = a;
    a += x;
    a += y;
    b += rotate(a, 44);
    return (pair){a + z, b + c};
}

static pair city_murmur(const char *s, size_t length, pair seed) {
    uint64_t a = seed.low, b = seed.high, c, d;
    long left = (long)length - 16;
    if (left <= 0) {
        a = shift_mix(a * K1) * K1;
        c = b * K1 + hash_0_to_16(s, length);
        d = shift_mix(a + (length >= 8 ? fetch64(s) : c));
    } else {
        c = hash_16(fetch64(s + length - 8) + K1, a);
        d = hash_16(b + length, c + fetch64(s + length - 16));
        a += d;
        do {
            a ^= shift_mix(fetch64(s) * K1) * K1;
            a *= K1;
            b ^= a;
            c ^= shift_mix(fetch64(s + 8) * K1) * K1;
            c *= K1;
            d ^= c;
            s += 16;
            left -= 16;
        } while (left > 0);
    }
    a = hash_16(a, c);
    b = hash_16(d, b);
    return (pair){a ^ b, hash_16(b, a)};
}

static pair city_hash_128(const char *s, size_t length, pair seed) {
    if (length < 128) {
        return city_murmur(s, length, seed);
    }
    pair v, w;
    uint64_t x = seed.low, y = seed.high, z = length * K1;
    v.low = rotate(y ^ K1, 49) * K1 + fetch64(s);
    v.high = rotate(v.low, 42) * K1 + fetch64(s + 8);
    w.low = rotate(y + z, 35) * K1 + x;
    w.high = rotate(x + fetch64(s + 88), 53) * K1;
    do {
        for (int half = 0; half < 2; half++) {
            x = rotate(x + y + v.low + fetch64(s + 16), 37) * K1;
            y = rotate(y + v.high + fetch64(s + 48), 42) * K1;
            x ^= w.high;
            y ^= v.low;
            z = rotate(z ^ w.low, 33);
            v = weak_hash_32(s, v.high * K1, x + w.low);
            w = weak_hash_32(s + 32, z + w.high, y);
            uint64_t swap = z;
            z = x;
            x = swap;
            s += 64;
        }
        length -= 128;
    } while (length >= 128);
    y += rotate(w.low, 37) * K0 + z;
    x += rotate(v.low + z, 49) * K0;
    /* the rest is hashed from its end; its last block begins before the rest */
    for (size_t done = 0; done < length;) {
        done += 32;
        y = rotate(y - x, 42) * K0 + v.high;
        w.low += fetch64(s + length - done + 16);
        x = rotate(x, 49) * K0 + w.low;
        w.low += v.low;
        v = weak_hash_32(s + length - done, v.low, v.high);
    }
    x = hash_16(x, v.low);
    y = hash_16(y, w.low);
    return (pair){hash_16(x + v.high, w.high) + y, hash_16(x + w.high, y + v.high)};
}

void part_hash(const char *bytes, size_t length, uint64_t *hash) {
    pair state = {0, 0};
    while (length > 0) {
        size_t block = length < BLOCK ? length : BLOCK;
        state = city_hash_128(bytes, block, state);
        bytes += block;
        length -= block;
    }
    hash[0] = state.low;
    hash[1] = state.high;
}
