# What `packer init` fetches. Packer before 1.7 has this plugin inside and refuses this file: there, take it away.

packer {
  required_plugins {
    amazon = {
      source  = "github.com/hashicorp/amazon"
      version = ">= 1.2.0"
    }
  }
}
