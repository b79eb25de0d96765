// Asio and Beast are compiled here, once; every other file only sees their declarations (8 s of compiling each, else).
#include <boost/asio/impl/src.hpp>
#include <boost/asio/ssl/impl/src.hpp>
#include <boost/beast/src.hpp>
