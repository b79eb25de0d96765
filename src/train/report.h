// The report of a run: one HTML page with its curves and samples, without anything from elsewhere.
#pragma once

#include <filesystem>
#include <string>

namespace minimax::train {

/// Reads run.json, metrics.jsonl and samples.jsonl of a run folder and writes report.html beside them. Curves that the
/// metrics do not have are left out. Throws kNotFound when there are no metrics.
void write_report(const std::filesystem::path& run);

/// What changes while a run goes on: the inside of the page's <main>. Says so when there are no metrics yet.
std::string report_body(const std::filesystem::path& run);

/// The whole page. `live`: it asks for "body" (report_body) every two seconds and shows that.
std::string report_page(const std::filesystem::path& run, bool live);

}  // namespace minimax::train
