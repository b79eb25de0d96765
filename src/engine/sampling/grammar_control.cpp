#include "engine/sampling/grammar_control.h"

#include "core/error.h"

namespace minimax::engine {

void GrammarControl::accept(int32_t id) {
  MM_CHECK_KIND(kInternal, matcher_.accept(id), "token ", id, " is not one that the grammar allows here");
}

}  // namespace minimax::engine
