// The report of a run: one HTML page with its curves and samples, without scripts and without anything from elsewhere.
#pragma once

#include <filesystem>
#include <string>

namespace minimax::train {

/// Reads run.json, metrics.jsonl and samples.jsonl of a run folder and writes report.html beside them. Curves that the
/// metrics do not have are left out. Throws kNotFound when there are no metrics.
void write_report(const std::filesystem::path& run);

}  // namespace minimax::train
