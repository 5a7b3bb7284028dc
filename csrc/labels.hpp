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

// f(L{}), L being the type of the labels.
template <class F>
static inline auto with_labels(TargetType type, F f) {
    switch (type) {
        case TargetType::int8: return f(std::int8_t{});
        case TargetType::int16: return f(std::int16_t{});
        case TargetType::int32: return f(std::int32_t{});
        case TargetType::uint8: return f(std::uint8_t{});
        case TargetType::uint16: return f(std::uint16_t{});
        case TargetType::uint32: return f(std::uint32_t{});
        case TargetType::uint64: return f(std::uint64_t{});
        default: return f(std::int64_t{});
    }
}

// A label as a 64-bit integer; a uint64 beyond that becomes negative, and so is out of range as it should be.
static inline std::int64_t label_at(TargetType type, const char* p) {
    return with_labels(type, [p]<class L>(L) { return std::int64_t(read_as<L>(p)); });
}

// No class: the row is ignored, or its label has changed since labels were checked.
constexpr std::int64_t no_label = -1;
static inline std::int64_t kept_label(const Target& target, const char* p, std::int64_t classes) {
    const std::int64_t label = label_at(target.type, p);
    const bool counts = label >= 0 && label < classes && label != target.ignore_index;
    return counts ? label : no_label;
}

}  // namespace normexp
