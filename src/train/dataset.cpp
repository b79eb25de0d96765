#include "train/dataset.h"

#include <numeric>

#include "core/error.h"
#include "core/rng.h"

namespace minimax::train {
namespace {

constexpr uint32_t kTarget = uint32_t{1} << 31;

std::vector<uint32_t> shuffled(int64_t size, uint64_t seed, uint64_t stream) {
  std::vector<uint32_t> order(static_cast<size_t>(size));
  std::iota(order.begin(), order.end(), 0u);
  Rng rng(seed, stream);
  for (size_t i = order.size(); i > 1; --i) std::swap(order[i - 1], order[rng.below(i)]);
  return order;
}

}  // namespace

void Dataset::add(const Example& example) {
  MM_CHECK_KIND(kInternal, example.tokens.size() == example.targets.size(), "example with ", example.tokens.size(),
                " tokens, ", example.targets.size(), " marks");
  for (size_t i = 0; i < example.tokens.size(); ++i)
    tokens_.push_back(static_cast<uint32_t>(example.tokens[i]) | (example.targets[i] ? kTarget : 0));
  starts_.push_back(tokens());
}

Example Dataset::at(int64_t index) const {
  Example example;
  for (int64_t i = starts_[index]; i < starts_[index + 1]; ++i) {
    example.tokens.push_back(static_cast<int32_t>(tokens_[i] & ~kTarget));
    example.targets.push_back((tokens_[i] & kTarget) != 0);
  }
  return example;
}

Mixture::Mixture(std::vector<Dataset> datasets, uint64_t seed)
    : datasets_(std::move(datasets)), places_(datasets_.size()), seed_(seed) {
  MM_CHECK(!datasets_.empty(), "no data to train on");
  for (const Dataset& dataset : datasets_)
    MM_CHECK(dataset.size() > 0, "data \"", dataset.name(), "\" has no example to train on");
}

Example Mixture::next() {
  double total = 1, weights = 0;
  for (size_t i = 0; i < datasets_.size(); ++i) {
    total += static_cast<double>(places_[i].tokens);
    weights += datasets_[i].weight();
  }
  size_t chosen = 0;
  double furthest = 0;
  for (size_t i = 0; i < datasets_.size(); ++i) {
    const double behind = total * datasets_[i].weight() / weights - static_cast<double>(places_[i].tokens);
    if (i > 0 && behind <= furthest) continue;
    furthest = behind;
    chosen = i;
  }
  const Dataset& dataset = datasets_[chosen];
  Place& place = places_[chosen];
  const int64_t epoch = place.drawn / dataset.size();
  if (epoch != place.epoch) {
    place.order = shuffled(dataset.size(), seed_, static_cast<uint64_t>(chosen) << 40 | static_cast<uint64_t>(epoch));
    place.epoch = epoch;
  }
  Example example = dataset.at(place.order[static_cast<size_t>(place.drawn % dataset.size())]);
  ++place.drawn;
  place.tokens += static_cast<int64_t>(example.tokens.size());
  return example;
}

double Mixture::epochs(size_t index) const {
  return static_cast<double>(places_[index].drawn) / static_cast<double>(datasets_[index].size());
}

io::json::object Mixture::state() const {
  io::json::array places;
  for (size_t i = 0; i < datasets_.size(); ++i)
    places.push_back(io::json::object{{"name", datasets_[i].name()},
                                      {"examples", datasets_[i].size()},
                                      {"tokens", datasets_[i].tokens()},
                                      {"drawn", places_[i].drawn},
                                      {"drawn_tokens", places_[i].tokens}});
  return {{"seed", static_cast<int64_t>(seed_)}, {"datasets", std::move(places)}};
}

void Mixture::restore(const io::JsonField& state) {
  MM_CHECK(static_cast<uint64_t>(state["seed"].integer()) == seed_, state.document(), ": seed is ",
           state["seed"].integer(), ", that of the recipe ", seed_);
  const io::JsonField places = state["datasets"];
  MM_CHECK(places.size() == static_cast<int64_t>(datasets_.size()), state.document(), ": ", places.size(),
           " datasets, the recipe has ", datasets_.size());
  for (size_t i = 0; i < datasets_.size(); ++i) {
    const io::JsonField place = places[static_cast<int64_t>(i)];
    MM_CHECK(place["name"].string() == datasets_[i].name() && place["examples"].integer() == datasets_[i].size() &&
                 place["tokens"].integer() == datasets_[i].tokens(),
             state.document(), ": dataset \"", place["name"].string(), "\" had ", place["examples"].integer(),
             " examples of ", place["tokens"].integer(), " tokens, now \"", datasets_[i].name(), "\" has ",
             datasets_[i].size(), " of ", datasets_[i].tokens(), ": the data changed, so the run cannot go on");
    places_[i] = {.drawn = place["drawn"].integer(0), .tokens = place["drawn_tokens"].integer(0)};
  }
}

}  // namespace minimax::train
