// Names of the JSON types without their definitions, for headers that only pass them by reference.
#pragma once

#include <boost/json/fwd.hpp>

namespace minimax::io {

namespace json = boost::json;

}  // namespace minimax::io
