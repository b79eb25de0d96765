// A float64 number that remembers how it was made: with it the functions of ops/reference.h yield all derivatives of a
// scalar at once, exact but for rounding.
#pragma once

#include <cmath>
#include <cstdint>
#include <span>
#include <vector>

namespace minimax::reference {

/// Each operation on Traced numbers becomes a node here while the trace lives; one at a time, one thread.
class Trace {
 public:
  Trace() { current() = this; }
  ~Trace() { current() = nullptr; }
  Trace(const Trace&) = delete;
  Trace& operator=(const Trace&) = delete;

  static Trace*& current() {
    static Trace* trace = nullptr;
    return trace;
  }
  /// A node with derivatives da, db by nodes a, b; -1: a constant.
  int32_t add(int32_t a, double da, int32_t b, double db) {
    nodes_.push_back({a, b, da, db});
    return static_cast<int32_t>(nodes_.size()) - 1;
  }
  /// Derivatives by every node of the sum over i of seeds[i] * node outputs[i].
  std::vector<double> derivatives(std::span<const int32_t> outputs, std::span<const double> seeds) const {
    std::vector<double> d(nodes_.size(), 0.0);
    for (size_t i = 0; i < outputs.size(); ++i) d[static_cast<size_t>(outputs[i])] += seeds[i];
    for (size_t i = nodes_.size(); i-- > 0;) {
      const Node& node = nodes_[i];
      if (node.a >= 0) d[static_cast<size_t>(node.a)] += d[i] * node.da;
      if (node.b >= 0) d[static_cast<size_t>(node.b)] += d[i] * node.db;
    }
    return d;
  }

 private:
  struct Node {
    int32_t a, b;
    double da, db;
  };
  std::vector<Node> nodes_;
};

struct Traced {
  Traced() = default;
  Traced(double constant) : value(constant) {}  // NOLINT: constants mix with traced numbers
  /// An input of the trace.
  static Traced input(double value) {
    Traced out(value);
    out.node = Trace::current()->add(-1, 0, -1, 0);
    return out;
  }

  Traced& operator+=(const Traced& other);
  Traced& operator/=(const Traced& other);

  double value = 0;
  int32_t node = -1;  // -1: a constant
};

inline Traced traced(double value, const Traced& a, double da, const Traced& b, double db) {
  Traced out(value);
  if (a.node >= 0 || b.node >= 0) out.node = Trace::current()->add(a.node, da, b.node, db);
  return out;
}
inline Traced operator+(const Traced& a, const Traced& b) {
  return traced(a.value + b.value, a, 1, b, 1);
}
inline Traced operator-(const Traced& a, const Traced& b) {
  return traced(a.value - b.value, a, 1, b, -1);
}
inline Traced operator-(const Traced& a) {
  return traced(-a.value, a, -1, {}, 0);
}
inline Traced operator*(const Traced& a, const Traced& b) {
  return traced(a.value * b.value, a, b.value, b, a.value);
}
inline Traced operator/(const Traced& a, const Traced& b) {
  return traced(a.value / b.value, a, 1 / b.value, b, -a.value / (b.value * b.value));
}
inline Traced& Traced::operator+=(const Traced& other) {
  return *this = *this + other;
}
inline Traced& Traced::operator/=(const Traced& other) {
  return *this = *this / other;
}
inline Traced exp(const Traced& x) {
  const double y = std::exp(x.value);
  return traced(y, x, y, {}, 0);
}
inline Traced log(const Traced& x) {
  return traced(std::log(x.value), x, 1 / x.value, {}, 0);
}
inline Traced sqrt(const Traced& x) {
  const double y = std::sqrt(x.value);
  return traced(y, x, 0.5 / y, {}, 0);
}
inline double real(const Traced& x) {
  return x.value;
}

}  // namespace minimax::reference
