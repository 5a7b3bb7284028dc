// Reading labels and target probabilities, whatever their type. The same code serves every CPU level: conversions are
// exact. (static: were this an inline function, one CPU level's body might serve all.)
#pragma once

#include <cstring>

#include "job.hpp"

namespace normexp {

template <class T>
static inline T read_as(const char* p) {
    T value;
    std::memcpy(&value, p, sizeof value);
    return value;
}

// A label as a 64-bit integer; a uint64 beyond that becomes negative, and so is out of range as it should be.
static inline std::int64_t label_at(TargetType type, const char* p) {
    switch (type) {
        case TargetType::int8: return read_as<std::int8_t>(p);
        case TargetType::int16: return read_as<std::int16_t>(p);
        case TargetType::int32: return read_as<std::int32_t>(p);
        case TargetType::uint8: return read_as<std::uint8_t>(p);
        case TargetType::uint16: return read_as<std::uint16_t>(p);
        case TargetType::uint32: return read_as<std::uint32_t>(p);
        default: return read_as<std::int64_t>(p);
    }
}

// No class: the row is ignored, or its label has changed since labels were checked.
constexpr std::int64_t no_label = -1;
static inline std::int64_t kept_label(const Target& target, const char* p, std::int64_t classes) {
    const std::int64_t label = label_at(target.type, p);
    const bool counts = label >= 0 && label < classes && label != target.ignore_index;
    return counts ? label : no_label;
}

}  // namespace normexp
