// Datasets in memory, and mixtures of them drawn in an order that a checkpoint can go on from.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "io/json.h"
#include "train/example.h"

namespace minimax::train {

/// Examples side by side: 4 bytes a token.
class Dataset {
 public:
  Dataset(std::string name, double weight) : name_(std::move(name)), weight_(weight) {}

  void add(const Example& example);
  Example at(int64_t index) const;

  const std::string& name() const { return name_; }
  double weight() const { return weight_; }
  int64_t size() const { return static_cast<int64_t>(starts_.size()) - 1; }
  int64_t tokens() const { return static_cast<int64_t>(tokens_.size()); }

 private:
  std::string name_;
  double weight_;
  std::vector<uint32_t> tokens_;  // the highest bit: a target
  std::vector<int64_t> starts_ = {0};
};

/// Draws examples without end. The next one comes from the dataset that is furthest behind its share of the tokens
/// drawn so far, so that the mixture holds over every stretch; within a dataset every epoch has an order of its own.
/// The n-th draw depends on the datasets, the seed and n alone.
class Mixture {
 public:
  /// Throws kInvalidArgument when a dataset is empty or there is none.
  Mixture(std::vector<Dataset> datasets, uint64_t seed);

  Example next();

  const std::vector<Dataset>& datasets() const { return datasets_; }
  /// Passes over dataset `index` so far.
  double epochs(size_t index) const;

  /// Where the drawing is; restore() goes on from there. Throws kInvalidArgument when `state` belongs to other
  /// datasets.
  io::json::object state() const;
  void restore(const io::JsonField& state);

 private:
  struct Place {
    int64_t drawn = 0;   // examples
    int64_t tokens = 0;  // of them
    int64_t epoch = -1;  // whose order is in `order`
    std::vector<uint32_t> order = {};
  };

  std::vector<Dataset> datasets_;
  std::vector<Place> places_;
  uint64_t seed_;
};

}  // namespace minimax::train
